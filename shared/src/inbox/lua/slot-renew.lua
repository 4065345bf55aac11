-- A gateway's lease on its slot. KEYS[1] slot:<n>   ARGV[1] store   ARGV[2] lease   ARGV[3] ms   ARGV[4] take: only where free; renew: only
-- where it is this lease's; free: give it back
-- Reply: 1 where the slot is this lease's now (or was, for free), else 0
if ARGV[4] == 'take' then
  return redis.call('SET', KEYS[1], ARGV[2], 'NX', 'PX', ARGV[3]) and 1 or 0
end
if redis.call('GET', KEYS[1]) ~= ARGV[2] then return 0 end
if ARGV[4] == 'free' then redis.call('DEL', KEYS[1]) else redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
return 1
