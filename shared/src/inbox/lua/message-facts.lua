-- What a user's inbox knows of one message, for its state.
-- ARGV[2] conversation   ARGV[3] position   ARGV[4] partition of the conversation
-- Reply: 1 where it was put into the inbox, sessions there are, time of the last push ('' where none), 1 where a device nacked it
local m = open(nil)
if not m then return { '0', '0', '', '0' } end
local last = tonumber(call('HGET', META, 'p' .. ARGV[4]) or -1)
local dead = call('HEXISTS', INBOX .. ':dead', ARGV[2] .. '#' .. ARGV[3])
return { last >= tonumber(ARGV[3]) and '1' or '0', int(#sessions()), call('HGET', META, 'pushedat') or '', tostring(dead) }
