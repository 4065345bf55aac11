-- Forgets a device: its cursor holds the list no more, its sessions end.
-- ARGV[2] device
-- Reply: connection, slot of each session that ended
writeAtMaxmemory()
local out = {}
for _, c in ipairs(sessions()) do
  if c[2].device == ARGV[2] then
    call('HDEL', SESSIONS, c[1])
    out[#out + 1] = c[1]
    out[#out + 1] = c[2].slot
  end
end
local m = open(nil)
if m then call('HDEL', META, 'poison:' .. ARGV[2], 'start:' .. ARGV[2]) end
if not m or not m.devices[ARGV[2]] then return out end
m.devices[ARGV[2]] = nil
for i, name in ipairs(m.order) do
  if name == ARGV[2] then table.remove(m.order, i) break end
end
trimAcked(m)
saveList(m)
saveDevices(m)
for _, field in ipairs(call('HKEYS', ACKED)) do
  if string.sub(field, 1, #ARGV[2] + 1) == ARGV[2] .. '#' then call('HDEL', ACKED, field) end
end
return out
