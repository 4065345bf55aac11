-- Marks a shard as whole in this store, once everybody who may be owed something was added again.
-- KEYS[1] due:<shard>   ARGV[1] store
redis.call('ZREMRANGEBYSCORE', KEYS[1], '+inf', '+inf')
redis.call('ZADD', KEYS[1], '+inf', '!' .. ARGV[1])
return 1
