-- A gateway's lease on its slot. KEYS[1] slot:<n>   ARGV[1] store   ARGV[2] lease   ARGV[3] ms   ARGV[4] take: only where free; renew: only
-- where it is this lease's; free: give it back
-- Reply: 1 where the slot is this lease's now (or was, for free), else 0
if ARGV[4] == 'take' then
  if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
  -- A first write that takes no memory: a gateway must come back also at maxmemory (decision 9).
  redis.call('DEL', KEYS[1])
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
  return 1
end
if redis.call('GET', KEYS[1]) ~= ARGV[2] then return 0 end
if ARGV[4] == 'free' then redis.call('DEL', KEYS[1]) else redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
return 1
