-- Claims a (sender, id) for its first result. KEYS[1] d:{sender}:<hash of id>   ARGV[1] store   ARGV[2] claim: position in base 36, hash,
-- conversation   ARGV[3] seconds
-- Reply: what is claimed now
-- Of two positions of one conversation the first holds, whoever came first: an owner of its partition that was stopped before it saw that
-- Redis had lost its memory may have left a claim for the second, and a later owner would refuse both, each for the other.
local held = redis.call('GET', KEYS[1])
if held then
  local position, conversation = string.match(held, '^(%S+) %S+ (.*)$')
  local ours, to = string.match(ARGV[2], '^(%S+) %S+ (.*)$')
  if conversation ~= to or tonumber(position, 36) <= tonumber(ours, 36) then return held end
end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return ARGV[2]
