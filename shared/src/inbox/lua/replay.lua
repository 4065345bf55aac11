-- The first page for a connection, from its device's cursor: after it connected, or after a rebuild.
-- ARGV[2] connection   ARGV[3] 1: anew from the cursor (a reset), whatever was sent before
-- Reply: 'gone' (no such session) | 'no-device', slot (forgotten, or made while a rebuild had read the rows: the connection must go, the next makes it) | 'partial' (rebuild first) | 'page', acked, then release's reply
local s = sessionOf(ARGV[2])
if not s then return { 'gone' } end
writeAtMaxmemory()
local m = open(nil)
if not m or m.partial then return { 'partial' } end
local d = m.devices[s.device]
if not d then return { 'no-device', s.slot } end
if agedOut(m, d.cursor) then return { 'partial' } end
-- user_connected is published again where its answer was late: what was released on this connection stays released.
if ARGV[3] == '1' then s.sent = nil end
return { 'page', int(d.cursor), unpack(release(m, ARGV[2], s)) }
