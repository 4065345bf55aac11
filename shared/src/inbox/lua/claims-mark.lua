-- Whether this store has every claim that was made: one that comes back without its last second has the mark of its former self, one that
-- lost everything has none (decision 10). KEYS[1] claims:<partition>:{node}   ARGV[1] store
-- ARGV[2] the mark of who claims all again, as it was when they began: if it is there still, nothing was lost since, and the store is whole;
-- '' looks   ARGV[3] at a look: a name for the mark, where none of this store is there
-- Reply: mark, 1 where it says that the store is whole, else 0
local mark = redis.call('GET', KEYS[1])
local reading = 'reading ' .. ARGV[1] .. ' '
local begun = mark and string.sub(mark, 1, #reading) == reading
if ARGV[2] ~= '' then
  if begun and mark == ARGV[2] then
    redis.call('SET', KEYS[1], ARGV[1])
    mark = ARGV[1]
  end
elseif mark ~= ARGV[1] and not begun then
  mark = reading .. ARGV[3]
  redis.call('SET', KEYS[1], mark)
end
return { mark or '', mark == ARGV[1] and 1 or 0 }
