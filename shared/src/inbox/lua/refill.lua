-- A gateway misses what was sent to one of its connections: the session goes on from what the gateway has really written.
-- ARGV[2] connection   ARGV[3] gen   ARGV[4] the first seq that was not written
-- Reply: 'gone' | 'partial' | 'reset' | 'close', slot (it asks for what the list no longer has) | 'page', acked, then release's reply
local s = sessionOf(ARGV[2])
if not s then return { 'gone' } end
writeAtMaxmemory()
local m = open(nil)
if not m or m.partial then return { 'partial' } end
if m.gen ~= ARGV[3] then return { 'reset' } end
local d = m.devices[s.device]
if not d then return { 'reset' } end
local written = tonumber(ARGV[4]) - 1
-- Below the base without an overflow there is nothing to show in its place on a connection that has begun: a new one starts clean.
if written < m.base and m.over <= written then return { 'close', s.slot } end
s.sent = written
local cursor = d.cursor
if cursor > written then return { 'close', s.slot } end
return { 'page', int(cursor), unpack(release(m, ARGV[2], s)) }
