-- Ends a claim: a new time, or nothing more to do. Only where nothing was added since.
-- KEYS[1] due:<shard>   ARGV[1] store   then triples: user, claimed score, next atMs or 0 to remove
-- A first write that takes no memory: the queue must go on at maxmemory (decision 9).
redis.call('ZREM', KEYS[1], '')
for i = 2, #ARGV, 3 do
  if redis.call('ZSCORE', KEYS[1], ARGV[i]) == ARGV[i + 1] then
    if ARGV[i + 2] == '0' then
      redis.call('ZREM', KEYS[1], ARGV[i])
    else
      redis.call('ZADD', KEYS[1], string.format('%.3f', tonumber(ARGV[i + 2])), ARGV[i])
    end
  end
end
return 1
