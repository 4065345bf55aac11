-- Claims a (sender, id) for its first result. KEYS[1] d:{sender}:<hash of id>   ARGV[1] store   ARGV[2] claim   ARGV[3] seconds
-- Reply: what is claimed now
local held = redis.call('GET', KEYS[1])
if held then return held end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return ARGV[2]
