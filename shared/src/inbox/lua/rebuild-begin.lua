-- Begins a rebuild: from here on the inbox is partial, and only the holder of the token may end it (decision 11).
-- KEYS[5] inbox:{user}:rebuild   ARGV[2] generation for a new inbox   ARGV[3] token   ARGV[4] ms that the token is held
-- Reply: 'whole' (nothing to do) | 'busy' (another holds the token) | 'begun', gen, base, store,
--   the acked marks as a list of their own (there may be more than Lua unpacks): field, position ...
--   then, as a list, the devices that connected meanwhile, each of which may have no durable row yet
local m = open(ARGV[2])
if not m.partial then return { 'whole' } end
if not call('SET', KEYS[5], ARGV[3], 'NX', 'PX', ARGV[4]) and call('GET', KEYS[5]) ~= ARGV[3] then return { 'busy' } end
call('HSET', META, 'partial', '1')
local fields, came = call('HGETALL', META), {}
for i = 1, #fields, 2 do
  local device = string.match(fields[i], '^start:(.+)$')
  if device and fields[i + 1] == '' then came[#came + 1] = device end
end
return { 'begun', m.gen, int(m.base), ARGV[1], call('HGETALL', ACKED), came }
