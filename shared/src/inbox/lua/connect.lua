-- Registers a connection, replaces the device's older one, and says where the device stands.
-- ARGV[2] generation for a new inbox   ARGV[3] device   ARGV[4] connection   ARGV[5] slot   ARGV[6] lease
-- ARGV[7] 1: the device's row is durable, make the device   ARGV[8] most connections of a user
-- Reply: 'new' (nothing was done: make the row, call again), 'too-many', or
--   'partial' (registered; the inbox must be rebuilt first) | 'ok', then gen, acked, tail, replaced connection and slot, device that yielded, seq that its
--   last connections all left alone unacked ('' where none)
writeAtMaxmemory()
local m = open(ARGV[2])
local device, conn = ARGV[3], ARGV[4]
local d = m.devices[device]
if ARGV[7] ~= '1' and (m.partial or not d) then return { 'new' } end
local others, replaced, replacedSlot, yielded, poison = 0, '', '', '', ''
for _, c in ipairs(sessions()) do
  if c[2].device == device then
    replaced, replacedSlot = c[1], c[2].slot
    poison = endSession(m, c[2]) or poison
  else
    others = others + 1
  end
end
if others >= tonumber(ARGV[8]) then return { 'too-many' } end
if not m.partial and not d then
  d, yielded = makeDevice(m, device)
  if not d then return { 'too-many' } end
end
if replaced ~= '' then call('HDEL', SESSIONS, replaced) end
if d then
  d.seen = NOW
  saveDevices(m)
  if not m.partial then agedOut(m, d.cursor) end
end
saveSession(conn, { slot = ARGV[5], lease = ARGV[6], device = device, mode = 'd', at = NOW, since = NOW })
call('PEXPIRE', SESSIONS, SESSION_MS)
return { m.partial and 'partial' or 'ok', m.gen, d and int(d.cursor) or '0', int(m.tail), replaced, replacedSlot, yielded, poison }
