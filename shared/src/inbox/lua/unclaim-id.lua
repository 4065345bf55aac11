-- Takes a claim back that was made without the memory of earlier ones. KEYS[1] d:{sender}:<hash of id>   ARGV[1] store   ARGV[2] claim
if redis.call('GET', KEYS[1]) == ARGV[2] then redis.call('DEL', KEYS[1]) end
return 1
