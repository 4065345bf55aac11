-- Ends a session, if it is still this connection's: a newer one of the same device has another name (compare and delete).
-- ARGV[2] connection   ARGV[3], ARGV[4] gen and the last seq that was written to its socket, '' where nobody knows
-- Reply: gen, the seq that its last connections all left alone unacked ('' where none)
local s = sessionOf(ARGV[2])
-- The first write takes no memory, so that the rest works at maxmemory.
call('HDEL', SESSIONS, ARGV[2])
if not s then return { '', '' } end
local m = open(nil)
if not m or not m.devices[s.device] then return { '', '' } end
-- What was released and not written has not been sent.
if ARGV[3] == m.gen then s.sent = math.min(s.sent or 0, tonumber(ARGV[4])) end
local poison = endSession(m, s)
m.devices[s.device].seen = NOW
saveDevices(m)
return { m.gen, poison or '' }
