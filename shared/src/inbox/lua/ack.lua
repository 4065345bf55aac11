-- Moves a device's cursor, trims what all active devices have acked, and releases the next page of its session.
-- ARGV[2] device   ARGV[3] connection, '' by HTTP   ARGV[4] gen   ARGV[5] seq   ARGV[6] position sent at that seq, 0 where it was a gap
-- Reply: 'partial' | 'reset' (another generation, or no such device) | 'refused' (not what was sent at that seq) |
--   'ok', acked, tail, then release's reply where the session drains
local m = open(nil)
if not m or m.partial then return { 'partial' } end
local d = m.devices[ARGV[2]]
if not d or m.gen ~= ARGV[4] then return { 'reset' } end
local seq = tonumber(ARGV[5])
if seq > m.tail then return { 'refused' } end
if ARGV[3] == '' then
  -- By HTTP: the gateway doesn't know what the device was sent, so the sessions and the last sync are asked.
  local sent = math.max(d.high, d.cursor)
  for _, c in ipairs(sessions()) do
    if c[2].device == ARGV[2] then sent = math.max(sent, c[2].sent or 0) end
  end
  if seq > sent then return { 'refused' } end
end
-- A write that needs no memory comes first: acks must work at maxmemory, for they are what frees it.
call('LTRIM', INBOX, 0, -1)
if seq > d.cursor then
  if ARGV[6] ~= '0' and seq > m.base then
    local text = call('LINDEX', INBOX, seq - m.base - 1)
    local _, position = placeOf(text)
    if position ~= ARGV[6] then return { 'refused' } end
  end
  moveCursor(m, ARGV[2], seq)
  call('HSET', META, 'tries', '0', 'nextpush', '0')
end
d.seen = NOW
trimAged(m)
trimAcked(m)
saveList(m)
saveDevices(m)
local s = sessionOf(ARGV[3])
if not s or s.mode ~= 'd' or not s.sent then return { 'ok', int(d.cursor), int(m.tail) } end
if agedOut(m, math.max(s.sent, d.cursor)) then return { 'partial' } end
return { 'ok', int(d.cursor), int(m.tail), unpack(release(m, ARGV[3], s)) }
