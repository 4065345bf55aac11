-- A gateway says that a connection is still open (each 10 s): keeps the session from expiring and finds what became of it.
-- ARGV[2] connection   ARGV[3] gen the connection is in, '' before its welcome
-- Reply: 'ok' | 'gone' (replaced or removed) | 'partial' (the inbox was lost) | 'reset' (another generation)
local s = sessionOf(ARGV[2])
if not s then return 'gone' end
writeAtMaxmemory()
s.at = NOW
saveSession(ARGV[2], s)
call('PEXPIRE', SESSIONS, SESSION_MS)
local m = open(nil)
if not m or m.partial then return 'partial' end
if ARGV[3] ~= '' and m.gen ~= ARGV[3] then return 'reset' end
return 'ok'
