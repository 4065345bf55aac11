-- Claims users that are due by raising their score: a worker that dies gives them back by itself.
-- KEYS[1] due:<shard>   ARGV[1] store   ARGV[2] most users   ARGV[3] ms until an unsettled claim is due again
-- A member '!<store>' with an infinite score marks a shard that this store has whole: one that Redis lost, or lost the last second
-- of, has none (decision 10).
-- Reply: 1 where the shard is whole, else 0; then user, claimed score, ...
-- A first write that takes no memory: the queue must go on at maxmemory (decision 9).
redis.call('ZREM', KEYS[1], '')
local time = redis.call('TIME')
-- To the microsecond, so that no two claims have the same score: a worker whose claim ran out can't settle another's.
local now = time[1] * 1000 + time[2] / 1000
local users = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, tonumber(ARGV[2]))
local out = { redis.call('ZSCORE', KEYS[1], '!' .. ARGV[1]) and '1' or '0' }
for _, user in ipairs(users) do
  redis.call('ZADD', KEYS[1], string.format('%.3f', now + tonumber(ARGV[3])), user)
  out[#out + 1] = user
  out[#out + 1] = redis.call('ZSCORE', KEYS[1], user)
end
return out
