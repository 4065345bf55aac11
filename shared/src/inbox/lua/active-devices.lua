-- How many devices of a user are active; a partial inbox may have any number, so it counts as two.
-- Reply: a number, 0 where there is no inbox
local m = open(nil)
if not m then return 0 end
if m.partial then return 2 end
return (cursors(m))
