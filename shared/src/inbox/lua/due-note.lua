-- Notes what the due queue did, in the user's own meta, so that whoever claims the user next decides on it.
-- ARGV[2] gen   ARGV[3] furthest cursor when probed, '' to forget it   ARGV[4] tries of pushing   ARGV[5] ms until the next push may go out, ''
--   where it was not time to push   ARGV[6] 1 where a push went out
-- Reply: 1, or 0 where the inbox is another by now
local m = open(nil)
if not m or m.gen ~= ARGV[2] then return 0 end
call('LTRIM', INBOX, 0, -1)
call('HSET', META, 'probed', ARGV[3], 'probedat', int(NOW), 'tries', ARGV[4])
if ARGV[5] ~= '' then call('HSET', META, 'pushedtail', int(m.tail), 'nextpush', int(NOW + tonumber(ARGV[5])), 'urgent', '0') end
if ARGV[6] == '1' then call('HSET', META, 'pushedat', int(NOW)) end
return 1
