-- Whether this store has every claim that was made: one that comes back without its last second has the mark of its former self, one that
-- lost everything has none (decision 10). KEYS[1] claims:<partition>:{node}   ARGV[1] store
-- ARGV[2] the store that was given all claims again, which is marked if it is this one still; '' only looks
-- Reply: store, 1 where it is marked, else 0
if ARGV[2] == ARGV[1] then redis.call('SET', KEYS[1], ARGV[1]) end
return { ARGV[1], redis.call('GET', KEYS[1]) == ARGV[1] and 1 or 0 }
