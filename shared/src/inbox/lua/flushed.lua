-- The durable cursors have these marks: forgets them, where they have not moved since.
-- ARGV[2...] pairs: field, position
for i = 2, #ARGV, 2 do
  if call('HGET', ACKED, ARGV[i]) == ARGV[i + 1] then call('HDEL', ACKED, ARGV[i]) end
end
return 1
