-- A page of the inbox for a device without a socket. Takes nothing out.
-- ARGV[2] generation for a new inbox   ARGV[3] device   ARGV[4] 1: the device's row is durable, make the device   ARGV[5] most entries
-- Reply: 'new' | 'partial' | 'page', gen, acked, tail, high, reached, then page's reply
local m = open(ARGV[2])
local d = m.devices[ARGV[3]]
if ARGV[4] ~= '1' and not d then return { 'new' } end
if m.partial then return { 'partial' } end
if not d then
  d = { cursor = #m.order == 0 and 0 or m.tail, seen = NOW, high = 0, skips = '' }
  m.devices[ARGV[3]] = d
  m.order[#m.order + 1] = ARGV[3]
end
if d.cursor < m.aged then
  call('HSET', META, 'partial', '1')
  return { 'partial' }
end
local high = d.high
local out, reached = page(m, d, d.cursor, tonumber(ARGV[5]))
d.high = math.max(high, reached)
d.seen = NOW
saveDevices(m)
return { 'page', m.gen, int(d.cursor), int(m.tail), int(high), int(reached), unpack(out) }
