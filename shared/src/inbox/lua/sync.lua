-- A page of the inbox for a device without a socket. Takes nothing out.
-- ARGV[2] generation for a new inbox   ARGV[3] device   ARGV[4] 1: the device's row is durable, make the device   ARGV[5] most entries
-- Reply: 'new' | 'partial' | 'too-many' (devices, all connected) | 'page', gen, acked, tail, high, reached, device that yielded ('' where
--   none), then page's reply
writeAtMaxmemory()
local m = open(ARGV[2])
local d = m.devices[ARGV[3]]
if ARGV[4] ~= '1' and not d then return { 'new' } end
if m.partial then return { 'partial' } end
local yielded = ''
if not d then
  d, yielded = makeDevice(m, ARGV[3])
  if not d then return { 'too-many' } end
end
if agedOut(m, d.cursor) then return { 'partial' } end
-- Its last connection may not be known to have ended yet: what that was sent may come again.
local high = d.high
for _, c in ipairs(sessions()) do
  if c[2].device == ARGV[3] then high = math.max(high, c[2].sent or 0) end
end
local out, reached = page(m, d, d.cursor, tonumber(ARGV[5]))
d.high = math.max(high, reached)
d.seen = NOW
saveDevices(m)
return { 'page', m.gen, int(d.cursor), int(m.tail), int(high), int(reached), yielded, unpack(out) }
