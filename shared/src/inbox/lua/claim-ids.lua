-- Claims ids of a sender, each for its first result (ADR 10).
-- KEYS[1..2] d:{sender}:<turn>   then two for each claim, d:{sender}:<turn>:<leaf of id>, used once the hash of a turn was split
-- ARGV[1] store   ARGV[2] whose turn it is, from 0   ARGV[3] ms that a claim must last   ARGV[4] ms that this turn's hashes do
--   then for each claim: hash of id, claim: position in base 36, hash of content, conversation
-- Reply: for each, what is claimed now
-- Of two positions of one conversation the first holds, whoever came first: an owner of its partition that was stopped before it saw that
-- Redis had lost its memory may have left a claim for the second, and a later owner would refuse both, each for the other.
local LEAVES = 256
-- Redis packs a hash of up to 512 small fields, and looks through it one by one: before there are so many, they go to the leaves.
local FULL = 256
local call, pcall = redis.call, redis.pcall
local turn = ARGV[2] + 1
local now, other = KEYS[turn], KEYS[3 - turn]
local nowSplit, otherSplit, put, look, reply = false, false, false, false, {}

for i = 5, #ARGV, 2 do
  local id, ours, leaf = ARGV[i], ARGV[i + 1], 2 * #reply + 2
  -- A hash that was split is only a mark, of another type: an error. Any other error comes again at the leaf.
  local where = otherSplit and KEYS[leaf + 3 - turn] or other
  local held = pcall('HGET', where, id)
  if type(held) == 'table' then
    otherSplit, where = true, KEYS[leaf + 3 - turn]
    held = call('HGET', where, id)
  end
  if not held then
    where = nowSplit and KEYS[leaf + turn] or now
    local new = pcall('HSETNX', where, id, ours)
    if type(new) == 'table' then
      nowSplit, where = true, KEYS[leaf + turn]
      new = call('HSETNX', where, id, ours)
    end
    if new == 0 then
      held = call('HGET', where, id)
    else
      put, look = true, look or string.sub(id, -1) == '0'
      -- A claim never goes where it would end before its time, whatever the clock or the setting of who began the hash.
      if nowSplit and call('PTTL', where) < tonumber(ARGV[3]) then call('PEXPIRE', where, ARGV[4]) end
    end
  end
  if held then
    local position, conversation = string.match(held, '^(%S+) %S+ (.*)$')
    local own, to = string.match(ours, '^(%S+) %S+ (.*)$')
    -- In its place: it was made for the second, so it is kept for long enough for the first.
    if conversation == to and tonumber(position, 36) > tonumber(own, 36) then call('HSET', where, id, ours) else ours = held end
  end
  reply[#reply + 1] = ours
end
-- Where they went to leaves too: these are found for as long as the mark is there.
if put and call('PTTL', now) < tonumber(ARGV[3]) then call('PEXPIRE', now, ARGV[4]) end
-- At one id in ten: that is often enough to find a hash that grows before it is twice as large.
if look and not nowSplit and call('HLEN', now) > FULL then
  local claims, ms = call('HGETALL', now), call('PTTL', now)
  call('SET', now, 'split', 'PX', ms)
  for i = 1, #claims, 2 do
    local leaf = now .. ':' .. string.sub(claims[i], -4) % LEAVES
    call('HSET', leaf, claims[i], claims[i + 1])
    call('PEXPIRE', leaf, ms)
  end
end
return reply
