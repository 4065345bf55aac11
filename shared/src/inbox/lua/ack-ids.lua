-- Acks entries by (sender, id), for a client that processed a push without knowing seqs. Looks at 1,000 entries from the cursor on;
-- those beyond a hole are remembered and count once it closes. Unknown or already acked ids are no error.
-- ARGV[2] device   then pairs: sender, id
-- Reply: 'partial' | 'no-device' | 'ok', gen, acked
local m = open(nil)
if not m or m.partial then return { 'partial' } end
local d = m.devices[ARGV[2]]
if not d then return { 'no-device' } end
local wanted = {}
for i = 3, #ARGV, 2 do wanted[ARGV[i + 1] .. ' ' .. ARGV[i]] = true end
call('LTRIM', INBOX, 0, -1)
-- What the list no longer has was shown as a gap, which has no id of its own: an id beyond it says that it was seen.
if m.base > d.cursor and m.base <= d.high and next(wanted) then moveCursor(m, ARGV[2], m.base) end
local at = math.max(d.cursor, m.base)
for i, text in ipairs(call('LRANGE', INBOX, at - m.base, at - m.base + 999)) do
  local _, _, _, entry = element(text)
  local id, from = string.match(entry, '^{"t":"message","position":%d+,"conversation":"[^"]*","id":"([^"]*)","from":"([^"]*)"')
  if id and wanted[id .. ' ' .. from] then skip(d, at + i, 'a') end
end
moveCursor(m, ARGV[2], d.cursor)
d.seen = NOW
trimAcked(m)
saveList(m)
saveDevices(m)
return { 'ok', m.gen, int(d.cursor) }
