-- Moves a user's receipt in a conversation forward, and keeps when. KEYS[1] receipts:{conversation}   ARGV[1] store
-- ARGV[2] d (delivered) or r (read), then the user   ARGV[3] position   ARGV[4] ms that the hash is kept
-- A field is <position>:<ms>,<position>:<ms>,… the newest first, 16 of them: when a position was reached is the oldest not before it.
-- Reply: 1 where it moved
local held = redis.call('HGET', KEYS[1], ARGV[2]) or ''
local last = tonumber(string.match(held, '^(%d+)')) or -1
if tonumber(ARGV[3]) <= last then return 0 end
local time = redis.call('TIME')
local kept = { ARGV[3] .. ':' .. string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000)) }
for point in string.gmatch(held, '[^,]+') do
  if #kept < 16 then kept[#kept + 1] = point end
end
redis.call('HSET', KEYS[1], ARGV[2], table.concat(kept, ','))
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
