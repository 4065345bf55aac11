-- Registers a connection, replaces the device's older one, and says where the device stands.
-- ARGV[2] generation for a new inbox   ARGV[3] device   ARGV[4] connection   ARGV[5] slot   ARGV[6] lease
-- ARGV[7] where the device's durable row says that it starts, '' where none is known   ARGV[8] most connections of a user
-- Reply: 'new', start, device that yielded (nobody is registered: make the row say this, call again with what it says), 'too-many', or
--   'partial' (registered; the inbox must be rebuilt first, which makes the device's row too) | 'ok', then gen, acked, tail, replaced connection and slot, seq that its
--   last connections all left alone unacked ('' where none)
writeAtMaxmemory()
local m = open(ARGV[2])
local device, conn = ARGV[3], ARGV[4]
local others, own = 0, {}
for _, c in ipairs(sessions()) do
  if c[2].device == device then own[#own + 1] = c else others = others + 1 end
end
if others >= tonumber(ARGV[8]) then return { 'too-many' } end
local d, why, start, yielded
-- No welcome goes out before the rebuild, which reads all rows of the user anyway.
if m.partial and ARGV[7] == '' then call('HSET', META, 'start:' .. device, '')
else d, why, start, yielded = agreedDevice(m, device, ARGV[7]) end
if why == 'new' then return { 'new', start, yielded } end
if why == 'too-many' then return { 'too-many' } end
d = d or m.devices[device]
local replaced, replacedSlot, poison = '', '', ''
for _, c in ipairs(own) do
  replaced, replacedSlot = c[1], c[2].slot
  poison = endSession(m, c[2]) or poison
  call('HDEL', SESSIONS, replaced)
end
if d then
  d.seen = NOW
  saveDevices(m)
  if not m.partial then agedOut(m, d.cursor) end
end
saveSession(conn, { slot = ARGV[5], lease = ARGV[6], device = device, mode = 'd', at = NOW, since = NOW })
call('PEXPIRE', SESSIONS, SESSION_MS)
return { m.partial and 'partial' or 'ok', m.gen, d and int(d.cursor) or '0', int(m.tail), replaced, replacedSlot, poison }
