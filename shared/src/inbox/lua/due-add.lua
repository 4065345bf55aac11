-- Users who may need a redelivery or a push, by when. KEYS[1] due:<shard>   ARGV[1] store   then pairs: user, atMs
-- The earlier of the two times wins, and the score always changes, so that a worker which looked before cannot remove it (decision 15).
-- A first write that takes no memory: who is owed something must be woken also at maxmemory (decision 9).
redis.call('ZREM', KEYS[1], '')
for i = 2, #ARGV, 2 do
  local old, at = redis.call('ZSCORE', KEYS[1], ARGV[i]), tonumber(ARGV[i + 1])
  if old then at = math.min(at, tonumber(old) - 0.001) end
  redis.call('ZADD', KEYS[1], string.format('%.3f', at), ARGV[i])
end
return 1
