-- Ends a session, if it is still this connection's: a newer one of the same device has another name (compare and delete).
-- ARGV[2] connection
-- Reply: gen, the seq that its last connections all left alone unacked ('' where none)
local raw = call('HGET', SESSIONS, ARGV[2])
if not raw then return { '', '' } end
local s, m = session(raw), open(nil)
call('HDEL', SESSIONS, ARGV[2])
if not m or not m.devices[s.device] then return { '', '' } end
local poison = endSession(m, s)
m.devices[s.device].seen = NOW
saveDevices(m)
return { m.gen, poison or '' }
