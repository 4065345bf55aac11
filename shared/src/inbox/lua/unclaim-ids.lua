-- Takes claims of a sender back that were made without the memory of earlier ones.
-- KEYS[1..2] d:{sender}:<turn>   then two for each claim, d:{sender}:<turn>:<leaf of id>
-- ARGV[1] store   then for each claim: hash of id, claim
for i = 2, #ARGV, 2 do
  for turn = 1, 2 do
    for _, key in ipairs({ KEYS[turn], KEYS[i + turn] }) do
      -- A hash that was split is only a mark, of another type.
      if redis.pcall('HGET', key, ARGV[i]) == ARGV[i + 1] then redis.call('HDEL', key, ARGV[i]) end
    end
  end
end
return 1
