-- A page of the inbox for a device without a socket. Takes nothing out.
-- ARGV[2] generation for a new inbox   ARGV[3] device   ARGV[4] where the device's durable row says that it starts, '' where none is known
-- ARGV[5] most entries
-- Reply: 'new', start, device that yielded (as connect) | 'partial' | 'too-many' (devices, all connected) | 'page', gen, acked, tail, high, reached,
--   then page's reply
writeAtMaxmemory()
local m = open(ARGV[2])
local d, why, start, yielded = agreedDevice(m, ARGV[3], ARGV[4])
if not d then return { why, start, yielded } end
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
return { 'page', m.gen, int(d.cursor), int(m.tail), int(high), int(reached), unpack(out) }
