-- Puts a batch of entries into a user's inbox, once however often it is replayed, and says to whom they can be sent now.
-- ARGV[2] generation for a new inbox   ARGV[3] source partition   ARGV[4] 1: one of them is urgent   then for each entry, in order of position:
--   position, expiresAtMs or 0, 1 for the sender's own copy (kept only where more than one device is active), entry
-- Reply: 'none' (own copies alone, and nobody keeps them) | gen, tail before, tail, partial (0/1), which were added ('1' or '0' each), sessions
--   there are, then for each session that gets something: connection, slot, lease, from seq, to seq
local forOthers = false
for i = 7, #ARGV, 4 do forOthers = forOthers or ARGV[i] ~= '1' end
-- Own copies alone make no inbox: a rebuild that begins later finds them in the history.
local m = open(forOthers and ARGV[2] or nil)
if not m then return { 'none' } end
local field = 'p' .. ARGV[3]
local known = tonumber(call('HGET', META, field) or -1)
local last = known
local keepsOwn = m.partial or cursors(m) > 1
local aged = trimAged(m)
local before, added, texts = m.tail, {}, {}
for i = 5, #ARGV, 4 do
  local take = tonumber(ARGV[i]) > last
  if take then
    last = tonumber(ARGV[i])
    take = ARGV[i + 2] ~= '1' or keepsOwn
  end
  if take then
    texts[#texts + 1] = int(NOW) .. ',' .. ARGV[i + 1] .. ',' .. ARGV[3] .. ',' .. ARGV[i + 3]
    m.bytes = m.bytes + #texts[#texts]
  end
  added[#added + 1] = take and '1' or '0'
end
-- Room first: trimming works at maxmemory, and what the cap takes unacked is shown as one gap.
local excess = m.tail - m.base + #texts - MAX_ENTRIES
local named = nil
-- The conversations of the gap so far; what every device has passed is no part of it any more.
local function overSoFar()
  local passed = #m.order > 0
  for _, name in ipairs(m.order) do passed = passed and m.devices[name].cursor >= m.over end
  return not passed and call('HGET', META, 'overconv') or ''
end
local function over(text)
  local conversation = placeOf(text)
  named = named or overSoFar()
  local count = select(2, string.gsub(named, '\n', ''))
  if count < 100 and not string.find('\n' .. named, '\n' .. conversation .. '\n', 1, true) then named = named .. conversation .. '\n' end
end
if excess > 0 then dropHead(m, math.min(excess, m.tail - m.base), over) end
while m.bytes > MAX_BYTES and m.base < m.tail do dropHead(m, 1, over) end
if named then
  m.over = m.base
  call('HSET', META, 'overconv', named)
end
for i = 1, #texts, 500 do call('RPUSH', INBOX, unpack(texts, i, math.min(i + 499, #texts))) end
m.tail = m.tail + #texts
-- Positions of one partition only grow: this one field makes every replay of the batch, by whichever owner, a no-op. An own copy that was not
-- kept counts too: a device that is made from now on starts behind it.
if #texts > 0 then
  call('HSET', META, 'base', int(m.base), 'tail', int(m.tail), 'bytes', int(m.bytes), 'over', int(m.over), 'aged', int(m.aged), field, int(last))
  if ARGV[4] == '1' then call('HSET', META, 'urgent', '1') end
  call('PEXPIRE', INBOX, RETENTION_MS)
  call('PEXPIRE', META, RETENTION_MS)
elseif aged or named or last > known then
  writeAtMaxmemory()
  saveList(m)
  call('HSET', META, field, int(last))
end
if not forOthers and not keepsOwn then return { 'none' } end
local there = sessions()
local reply = { m.gen, int(before), int(m.tail), m.partial and '1' or '0', table.concat(added), int(#there) }
if m.partial then return reply end
for _, c in ipairs(there) do
  local conn, s = c[1], c[2]
  local d = m.devices[s.device]
  if s.mode == 'l' and d and m.tail > (s.sent or 0) then
    -- As many as fit the window are sent, then the session drains; acks release the rest.
    local to = math.min(m.tail, windowEnd(m, d))
    if s.sent == before and to > before then
      for _, v in ipairs({ conn, s.slot, s.lease, int(before + 1), int(to) }) do reply[#reply + 1] = v end
      s.sent = to
    end
    if s.sent < m.tail then s.mode = 'd' end
    saveSession(conn, s)
  end
end
return reply
