-- A device can't process one entry: for it, and it alone, the entry counts as acked and shows as a gap from now on.
-- ARGV[2] device   ARGV[3] connection   ARGV[4] gen   ARGV[5] seq   ARGV[6] position sent at that seq
-- ARGV[7] 1: mark it; 0: only read it (the dead letter is written between the two, so that no crash can lose it)
-- Reply: as ack.lua; 'entry', the entry, for a read; 'refused' where the seq is acked already, or a gap
local m = open(nil)
if not m or m.partial then return { 'partial' } end
local d = m.devices[ARGV[2]]
if not d or m.gen ~= ARGV[4] then return { 'reset' } end
local seq = tonumber(ARGV[5])
if seq <= math.max(d.cursor, m.base) or seq > m.tail then return { 'refused' } end
local _, _, _, entry = element(call('LINDEX', INBOX, seq - m.base - 1))
local conversation, position = conversationAndPosition(entry)
if ARGV[6] ~= '0' and position ~= ARGV[6] then return { 'refused' } end
if ARGV[7] == '0' then return { 'entry', entry } end
call('LTRIM', INBOX, 0, -1)
skip(d, seq, 'n')
-- For the message's state: acked by the cursor's way, but not delivered.
call('HSET', INBOX .. ':dead', conversation .. '#' .. position, int(NOW))
call('PEXPIRE', INBOX .. ':dead', RETENTION_MS)
moveCursor(m, ARGV[2], d.cursor)
d.seen = NOW
trimAcked(m)
saveList(m)
saveDevices(m)
local s = sessionOf(ARGV[3])
if not s or s.mode ~= 'd' or not s.sent then return { 'ok', int(d.cursor), int(m.tail) } end
return { 'ok', int(d.cursor), int(m.tail), unpack(release(m, ARGV[3], s)) }
