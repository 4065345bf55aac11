-- What the due queue must know of a user to decide: probe, push, rebuild, or nothing.
-- Reply: 'none' (no inbox) | 'partial' | 'whole', gen, tail, furthest cursor of the active devices, lowest cursor, active devices,
--   tries, furthest cursor at the last probe ('' where none), time of that probe, tail at the last push, when the next
--   may go out (0: now), 1 where something urgent came since, then connection, slot, lease, device, cursor of each session
local m = open(nil)
if not m then return { 'none' } end
if m.partial then return { 'partial' } end
local n, lowest, highest = cursors(m)
if trimAged(m) then saveList(m) end
local probe = call('HMGET', META, 'probed', 'probedat', 'pushedtail', 'nextpush', 'urgent')
local reply = { 'whole', m.gen, int(m.tail), int(highest or m.base), int(lowest or m.base), int(n), int(m.tries), probe[1] or '', probe[2] or '0',
  probe[3] or '0', probe[4] or '0', probe[5] or '0' }
for _, c in ipairs(sessions()) do
  local s, d = c[2], m.devices[c[2].device]
  for _, v in ipairs({ c[1], s.slot, s.lease, s.device, int(d and d.cursor or 0) }) do reply[#reply + 1] = v end
end
return reply
