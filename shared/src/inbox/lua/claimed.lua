-- What an id is claimed for. In one step: a hash may be split between two.
-- KEYS d:{sender}:<turn>, d:{sender}:<turn>:<leaf of id>   ARGV[1] store   ARGV[2] hash of id
-- Reply: the claim, or nil
for _, key in ipairs(KEYS) do
  local held = redis.pcall('HGET', key, ARGV[2])
  -- A hash that was split is only a mark, of another type.
  if type(held) == 'string' then return held end
end
return false
