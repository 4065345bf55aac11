-- Ends a rebuild: the staged history, then what was enqueued meanwhile, becomes the inbox, as a new generation.
-- KEYS[5] inbox:{user}:rebuild   KEYS[6] inbox:{user}:staged:<token>, elements from the history, oldest first
-- ARGV[2] token   ARGV[3] gen at the beginning   ARGV[4] base at the beginning   ARGV[5] new gen   ARGV[6] entries that did not fit
-- ARGV[7] their conversations   ARGV[8] devices, as in meta   ARGV[9] store at the beginning
-- ARGV[10] 1: not where a session's device is not among these, for its row was made after they were read
-- ARGV[11] number of partitions, then partition, cut for each: the history is whole below the cut, the list counts from it on
-- Reply: 'ok', tail, then the connections to reset | 'again' (gen, base, store, token or devices are not as they were)
local m = open(nil)
if not m or call('GET', KEYS[5]) ~= ARGV[2] then return { 'again' } end
-- Another store may lack the last second of what was enqueued meanwhile: it has to be read from the history then.
if ARGV[1] ~= ARGV[9] then return { 'again' } end
if m.gen ~= ARGV[3] or int(m.base) ~= ARGV[4] then return { 'again' } end
if ARGV[10] == '1' then
  for _, c in ipairs(sessions()) do
    if not string.find(';' .. ARGV[8], ';' .. c[2].device .. ',', 1, true) then return { 'again' } end
  end
end
local cut = {}
for i = 12, 11 + 2 * tonumber(ARGV[11]), 2 do cut[ARGV[i]] = tonumber(ARGV[i + 1]) end
-- While nobody knew the devices, own copies were kept for whoever there may be.
local several = select(2, string.gsub(ARGV[8], ';', '')) > 1
local at, left = 0, m.tail - m.base
while at < left do
  local keep, texts = {}, call('LRANGE', INBOX, at, at + 199)
  if #texts == 0 then break end
  for _, text in ipairs(texts) do
    local _, _, partition, entry = element(text)
    local _, position = conversationAndPosition(entry)
    local owed = several or string.sub(entry, -13) ~= ',"self":true}'
    if owed and (not cut[partition] or tonumber(position) >= cut[partition]) then keep[#keep + 1] = text end
  end
  if #keep > 0 then call('RPUSH', KEYS[6], unpack(keep)) end
  at = at + #texts
end
call('DEL', INBOX)
if call('EXISTS', KEYS[6]) == 1 then call('RENAME', KEYS[6], INBOX) end
local count, missing, bytes = call('LLEN', INBOX), tonumber(ARGV[6]), 0
at = 0
while at < count do
  local texts = call('LRANGE', INBOX, at, at + 199)
  for _, text in ipairs(texts) do bytes = bytes + #text end
  at = at + #texts
end
local tail = missing + count
call('HDEL', META, 'probed', 'probedat')
-- The devices are those of the rows now, and what was counted by seqs of the old generation counts no more.
for _, field in ipairs(call('HKEYS', META)) do
  if string.find(field, '^start:') or string.find(field, '^poison:') then call('HDEL', META, field) end
end
call('HSET', META, 'gen', ARGV[5], 'store', ARGV[1], 'base', int(missing), 'tail', int(tail), 'bytes', int(bytes), 'partial', '0',
  'devices', ARGV[8], 'over', int(missing), 'overconv', ARGV[7], 'aged', '0', 'tries', '0', 'nextpush', '0', 'urgent', '1')
for partition, position in pairs(cut) do
  local last = tonumber(call('HGET', META, 'p' .. partition) or -1)
  if position - 1 > last then call('HSET', META, 'p' .. partition, int(position - 1)) end
end
call('PEXPIRE', INBOX, RETENTION_MS)
call('PEXPIRE', META, RETENTION_MS)
call('DEL', KEYS[5])
local reply = { 'ok', int(tail) }
for _, c in ipairs(sessions()) do
  c[2].mode, c[2].sent = 'd', nil
  saveSession(c[1], c[2])
  reply[#reply + 1] = c[1]
end
return reply
