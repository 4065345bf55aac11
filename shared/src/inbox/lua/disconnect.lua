-- Ends a session, if it is still this connection's: a newer one of the same device has another name (compare and delete).
-- ARGV[2] connection
-- Reply: 1 where it was there
local raw = call('HGET', SESSIONS, ARGV[2])
if not raw then return 0 end
local s, m = session(raw), open(nil)
call('HDEL', SESSIONS, ARGV[2])
local d = m and m.devices[s.device]
if d then
  d.high = math.max(d.high, s.sent or 0)
  d.seen = NOW
  saveDevices(m)
end
return 1
