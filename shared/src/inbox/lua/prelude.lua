-- Put before every script that works on one user's inbox. The caller bakes in the constants RETENTION_MS, MAX_ENTRIES,
-- MAX_BYTES, WINDOW, PAGE_ENTRIES, PAGE_BYTES, DEVICE_RETENTION_MS, MAX_DEVICES, SESSION_MS, POISON_* (scripts.ts).
--
-- KEYS[1] inbox:{user}            list of elements, oldest first; the element at index i has seq base + 1 + i
-- KEYS[2] inbox:{user}:meta       hash: gen, store, base, tail, bytes, partial, devices, over, overconv, aged, tries, p<partition>,
--   start:<device> (of one whose row is not known to be durable yet; '' of one that connected while the inbox was partial)
-- KEYS[3] sessions:{user}         hash: connection -> slot,lease,device,mode,sent,at,since
-- KEYS[4] inbox:{user}:acked      hash: device#conversation -> position acked, until DynamoDB has it
-- ARGV[1] identity of the store that the caller is connected to (run id and replication id)
--
-- An element is <listedAtMs>,<expiresAtMs or 0>,<partition>,<entry>. Positions stay strings: a Lua number that is
-- printed by cjson or tostring loses digits from 1e14.
local INBOX, META, SESSIONS, ACKED = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local call = redis.call
local TIME = call('TIME')
local NOW = TIME[1] * 1000 + math.floor(TIME[2] / 1000)

local function int(n) return string.format('%.0f', n) end

-- Comes before the first write of a script that must work at maxmemory: Redis lets a script go on whose first write takes no memory
-- (decision 9). Who can't connect can't ack, and acks are what frees it.
local function writeAtMaxmemory() call('LTRIM', INBOX, 0, -1) end

-- The inbox's meta as a table, or nil where there is none and no `newGen` to make one with. What was written to another
-- store may miss its last second, so it is partial from here on (decision 10).
local function open(newGen)
  local v = call('HMGET', META, 'gen', 'store', 'base', 'tail', 'bytes', 'partial', 'devices', 'over', 'aged', 'tries')
  -- One that can't be read is none: the history has what it counted, and a script that failed for ever would stop others with it.
  if not (v[1] and tonumber(v[3]) and tonumber(v[4]) and tonumber(v[5])) then
    if not newGen then return nil end
    -- No first write where there is nothing to remove: at maxmemory it would let the rest in.
    if call('EXISTS', META) == 1 then call('DEL', META) end
    call('HSET', META, 'gen', newGen, 'store', ARGV[1], 'base', '0', 'tail', '0', 'bytes', '0', 'partial', '1')
    call('DEL', INBOX)
    call('PEXPIRE', META, RETENTION_MS)
    return { gen = newGen, base = 0, tail = 0, bytes = 0, partial = true, devices = {}, order = {}, over = 0, aged = 0, tries = 0, made = true }
  end
  local m = { gen = v[1], base = tonumber(v[3]), tail = tonumber(v[4]), bytes = tonumber(v[5]), partial = v[6] == '1',
    devices = {}, order = {}, over = tonumber(v[8]) or 0, aged = tonumber(v[9]) or 0, tries = tonumber(v[10]) or 0 }
  local unread = string.gsub(v[7] or '', '([^,;]+),(%d+),(%d+),(%d+),([^;]*);', function(name, cursor, seen, high, skips)
    m.order[#m.order + 1] = name
    m.devices[name] = { cursor = tonumber(cursor), seen = tonumber(seen), high = tonumber(high), skips = skips }
    return ''
  end)
  -- A list that isn't as long as its meta says was expired, evicted or written by another hand, as are devices that can't be read: not
  -- to be trusted.
  if v[2] ~= ARGV[1] or (not m.partial and (unread ~= '' or call('LLEN', INBOX) ~= m.tail - m.base)) then
    m.partial = true
    call('HSET', META, 'partial', '1', 'store', ARGV[1])
  end
  return m
end

-- Writes the devices back. skips: seqs beyond the cursor, each with a letter: n nacked, a acked by id, s suspected (decision 16).
local function saveDevices(m)
  local parts = {}
  for _, name in ipairs(m.order) do
    local d = m.devices[name]
    parts[#parts + 1] = name .. ',' .. int(d.cursor) .. ',' .. int(d.seen) .. ',' .. int(d.high) .. ',' .. d.skips .. ';'
  end
  call('HSET', META, 'devices', table.concat(parts))
end

-- A session, or nil where the text is none: its gateway then finds it gone.
local function session(text)
  local slot, lease, device, mode, sent, at, since = string.match(text, '^(%d+),([^,]*),([^,]+),(%a),(%d*),(%d+),(%d+)$')
  if not since then return nil end
  return { slot = slot, lease = lease, device = device, mode = mode, sent = tonumber(sent), at = tonumber(at), since = tonumber(since) }
end

-- The session of a connection, or nil where it has none (any more).
local function sessionOf(conn)
  local raw = call('HGET', SESSIONS, conn)
  return raw and session(raw) or nil
end

local function saveSession(conn, s)
  local sent = s.sent and int(s.sent) or ''
  call('HSET', SESSIONS, conn, s.slot .. ',' .. s.lease .. ',' .. s.device .. ',' .. s.mode .. ',' .. sent .. ',' .. int(s.at) .. ',' .. int(s.since))
end

-- Notes of one seq beyond the cursor that a device acked ('a') or nacked ('n') it, or is suspected to die of it ('s').
local function skip(d, seq, letter)
  local mark = int(seq) .. letter
  if not string.find(d.skips, ' ' .. mark .. ' ', 1, true) then d.skips = (d.skips == '' and ' ' or d.skips) .. mark .. ' ' end
end

local function has(d, seq, letter) return d.skips ~= '' and string.find(d.skips, ' ' .. int(seq) .. letter .. ' ', 1, true) end

-- A session of a device ends: what it was sent may come again. The entry at its head, where it was unacked at the end of two lasting
-- connections in a row, is sent alone from then on: only what was alone unacked at the end can be counted against (decision 16).
-- Returns the seq of that entry once it is poison, else nil. The caller saves the devices.
local function endSession(m, s)
  local d = m.devices[s.device]
  if not d then return nil end
  local sent, head = s.sent or 0, d.cursor + 1
  d.high = math.max(d.high, sent)
  if sent < head or head <= m.base or NOW - s.since < POISON_CONNECTION_MS then return nil end
  local field = 'poison:' .. s.device
  local seq, count, first = string.match(call('HGET', META, field) or '', '^(%d+),(%d+),(%d+)$')
  if tonumber(seq) == head then skip(d, head, 's') else count, first = '0', int(s.since) end
  count = tonumber(count) + (sent == head and 1 or 0)
  call('HSET', META, field, int(head) .. ',' .. int(count) .. ',' .. first)
  if count < POISON_CONNECTIONS or NOW - tonumber(first) < POISON_SPAN_MS then return nil end
  return int(head)
end

-- All sessions, as a list of {conn, session}. Those that no gateway has asserted for SESSION_MS are a dead gateway's: removed.
local function sessions()
  local raw, out = call('HGETALL', SESSIONS), {}
  for i = 1, #raw, 2 do
    local s = session(raw[i + 1])
    if not s or s.at < NOW - SESSION_MS then call('HDEL', SESSIONS, raw[i]) else out[#out + 1] = { raw[i], s } end
  end
  return out
end

-- After what a device that is made now begins: the first position of each source partition that this inbox has not decided on yet.
local function startNow()
  local fields, marks, parts = call('HGETALL', META), {}, {}
  for i = 1, #fields, 2 do
    local partition, last = string.match(fields[i], '^p(%d+)$'), tonumber(fields[i + 1])
    if partition and last then marks[#marks + 1] = { tonumber(partition), last } end
  end
  table.sort(marks, function(a, b) return a[1] < b[1] end)
  for _, mark in ipairs(marks) do parts[#parts + 1] = int(mark[1]) .. ':' .. int(mark[2] + 1) end
  return 'after ' .. table.concat(parts, ',')
end

-- Makes a device in a whole inbox: the first starts at the first entry ever kept, a later one at the tail. What that is in the log is noted in
-- the same step, so that a rebuild, which knows the log alone, gives it neither more nor less (decision 11). Beyond the bound the longest
-- unseen yields, but none that is connected: two would take each other's place for ever.
-- Returns it and the name of the one that yielded ('' where none), or nil where all others are connected. The caller saves the devices.
local function makeDevice(m, name)
  local cursor, start, yielded = m.tail, nil, ''
  if #m.order == 0 then cursor, start = 0, 'first' else start = startNow() end
  if #m.order >= MAX_DEVICES then
    local connected, unseen = {}, nil
    for _, c in ipairs(sessions()) do connected[c[2].device] = true end
    for i, other in ipairs(m.order) do
      if not connected[other] and (not unseen or m.devices[other].seen < m.devices[m.order[unseen]].seen) then unseen = i end
    end
    if not unseen then return nil end
    yielded = table.remove(m.order, unseen)
    m.devices[yielded] = nil
    call('HDEL', META, 'poison:' .. yielded, 'start:' .. yielded)
  end
  call('HSET', META, 'start:' .. name, start)
  m.devices[name] = { cursor = cursor, seen = NOW, high = 0, skips = '' }
  m.order[#m.order + 1] = name
  return m.devices[name], yielded
end

-- The device, once its durable row and this inbox say the same of where it starts. `row`: what the row says, '' before it is known to be there.
-- A row that says otherwise was made while this inbox was lost or partial, and never served: it is to be moved, or what came between, own
-- copies above all, would come late with the next rebuild.
-- Returns it; or nil and 'new' with what the row is to say ('' where only the log can tell) and the device that yielded, nil and
-- 'partial' (the rebuild goes by the row), or nil and 'too-many' (devices, all connected). The caller saves the devices.
local function agreedDevice(m, name, row)
  local d, noted = m.devices[name], call('HGET', META, 'start:' .. name)
  if m.partial then return nil, row == '' and 'new' or 'partial', '', '' end
  if d and not noted then return d end
  local yielded = ''
  if not d then
    d, yielded = makeDevice(m, name)
    if not d then return nil, 'too-many' end
    saveDevices(m)
    noted = call('HGET', META, 'start:' .. name)
  end
  if noted ~= row then return nil, 'new', noted, yielded end
  call('HDEL', META, 'start:' .. name)
  return d
end

-- How many devices are active, and the smallest and largest of their cursors. A device is active while it was seen within its
-- retention or is connected now; only for one that looks unseen are the sessions read.
local function cursors(m)
  local n, lowest, highest, connected = 0, nil, nil, nil
  for _, name in ipairs(m.order) do
    local d = m.devices[name]
    local active = d.seen > NOW - DEVICE_RETENTION_MS
    if not active then
      if not connected then
        connected = {}
        for _, c in ipairs(sessions()) do connected[c[2].device] = true end
      end
      active = connected[name]
    end
    if active then
      n = n + 1
      if not lowest or d.cursor < lowest then lowest = d.cursor end
      if not highest or d.cursor > highest then highest = d.cursor end
    end
  end
  return n, lowest, highest
end

local function element(text)
  local listed, expires, partition, entry = string.match(text, '^(%d+),(%d+),(%d+),(.*)$')
  return tonumber(listed), tonumber(expires), partition, entry
end

local function conversationAndPosition(entry)
  local position, conversation = string.match(entry, '^{"t":"%a+","position":(%d+),"conversation":"([^"]*)"')
  return conversation, position
end

-- The same of an element of the list, without a copy of its entry.
local function placeOf(text)
  local position, conversation = string.match(text, '^%d+,%d+,%d+,{"t":"%a+","position":(%d+),"conversation":"([^"]*)"')
  return conversation, position
end

-- Takes n elements from the head. Pages, so that a large n neither unpacks nor copies the whole list at once.
-- `passed(entry)` is called for each where given. Only after it may the caller write: LTRIM works at maxmemory, and what
-- comes after it in the same script then does too.
local function dropHead(m, n, passed)
  local left, read = n, m.read
  if not passed and read and read.from == m.base and read.to == m.base + n then
    -- Just what the cursor passed, counted then: not read once more.
    m.bytes, m.base, left = m.bytes - read.bytes, read.to, 0
    call('LTRIM', INBOX, n, -1)
  end
  while left > 0 do
    local page = call('LRANGE', INBOX, 0, math.min(left, 200) - 1)
    if #page == 0 then break end
    for _, text in ipairs(page) do
      m.bytes = m.bytes - #text
      if passed then passed(text) end
    end
    call('LTRIM', INBOX, #page, -1)
    m.base = m.base + #page
    left = left - #page
  end
end

-- What was in the list for longer than its retention goes, however new the rest is. Marked: what no device had acked is then
-- rebuilt from the history when a device comes for it.
local function trimAged(m)
  local dropped = false
  while m.base < m.tail do
    local head = call('LINDEX', INBOX, 0)
    if not head or element(head) > NOW - RETENTION_MS then break end
    dropHead(m, 1)
    dropped = true
  end
  if dropped then m.aged = m.base end
  return dropped
end

-- Whether what comes after `from` has aged out of the list, unacked: the history has it, so the inbox is rebuilt (decision 10).
local function agedOut(m, from)
  if from >= m.aged then return false end
  m.partial = true
  call('HSET', META, 'partial', '1')
  return true
end

-- Trims what every active device has acked. With no active device nothing is trimmed.
local function trimAcked(m)
  local n, lowest = cursors(m)
  if n > 0 and lowest > m.base then dropHead(m, lowest - m.base) end
end

local function saveList(m)
  call('HSET', META, 'base', int(m.base), 'tail', int(m.tail), 'bytes', int(m.bytes), 'over', int(m.over), 'aged', int(m.aged))
end

-- Moves a device's cursor to `seq` (at most the tail), and on over what it acked or nacked beyond that. What it passed is noted as
-- conversation -> position until the durable cursors have it (decision 11). Never moves back.
local function moveCursor(m, device, seq)
  local d, passed = m.devices[device], {}
  local function move(to)
    local at = math.max(d.cursor, m.base)
    local read = m.read and m.read.to == at and m.read or { from = at, to = at, bytes = 0 }
    m.read = read
    while at < to do
      local texts = call('LRANGE', INBOX, at - m.base, math.min(to - m.base, at - m.base + 200) - 1)
      if #texts == 0 then break end
      for _, text in ipairs(texts) do
        local conversation, position = placeOf(text)
        passed[conversation] = position
        read.bytes = read.bytes + #text
      end
      at = at + #texts
      read.to = at
    end
    d.cursor = to
  end
  if seq > d.cursor then move(math.min(seq, m.tail)) end
  if d.skips ~= '' then
    while string.find(d.skips, ' ' .. int(d.cursor + 1) .. '[an] ') do move(d.cursor + 1) end
    local kept = {}
    for n, letter in string.gmatch(d.skips, '(%d+)(%a)') do
      if tonumber(n) > d.cursor then kept[#kept + 1] = n .. letter end
    end
    d.skips = #kept > 0 and ' ' .. table.concat(kept, ' ') .. ' ' or ''
  end
  for conversation, position in pairs(passed) do
    local field = device .. '#' .. conversation
    if tonumber(position) > tonumber(call('HGET', ACKED, field) or -1) then call('HSET', ACKED, field, position) end
  end
  if next(passed) then call('PEXPIRE', ACKED, RETENTION_MS) end
end

local function gapText(entry, seq, reason)
  local conversation, position = conversationAndPosition(entry)
  return '{"t":"gap","position":' .. position .. ',"conversation":"' .. conversation .. '","from":' .. int(seq) .. ',"to":' .. int(seq) ..
    ',"count":1,"reason":"' .. reason .. '","conversations":["' .. conversation .. '"]}'
end

-- What a device gets in the place of an element: the entry, or a gap where its own ttl ran out or the device nacked it.
local function shown(text, seq, d)
  local expires, at = string.match(text, '^%d+,(%d+),%d+,()')
  local entry = string.sub(text, at)
  if expires ~= '0' and tonumber(expires) <= NOW then return gapText(entry, seq, 'expired') end
  if has(d, seq, 'n') then return gapText(entry, seq, 'dead-lettered') end
  return entry
end

-- A page of entries after seq `from`, at most `max` of them and PAGE_BYTES (one at least). The entries that the list no longer
-- has become one gap before it. Reply: gapFrom, gapTo ('' where none), reason, conversations (newline between), first seq,
-- entries...; and the seq that the page reaches.
local function page(m, d, from, max)
  local out = { '', '', '', '' }
  if from < m.base and max > 0 then
    out = { int(from + 1), int(m.base), m.over > from and 'overflow' or 'device-expired', call('HGET', META, 'overconv') or '' }
    from = m.base
  end
  out[5] = int(from + 1)
  local bytes = 0
  while max > 0 and from < m.tail do
    local texts = call('LRANGE', INBOX, from - m.base, from - m.base + math.min(max, 64) - 1)
    if #texts == 0 then break end
    for _, text in ipairs(texts) do
      bytes = bytes + #text
      if bytes > PAGE_BYTES and #out > 5 then return out, from end
      from = from + 1
      max = max - 1
      out[#out + 1] = shown(text, from, d)
    end
  end
  return out, from
end

-- The last seq that a device may be sent unacked: one alone where it is suspected to die of it.
local function windowEnd(m, d) return math.max(d.cursor, m.over) + (has(d, d.cursor + 1, 's') and 1 or WINDOW) end

-- The next page of a session, and live at the tail, in one step, so that no entry can fall between the two (decision 14).
-- Reply: conn, slot, gen, mode, high (up to there it may have been sent before), tail, then the page.
local function release(m, conn, s, save)
  local d = m.devices[s.device]
  local from = math.max(s.sent or 0, d.cursor)
  local room = windowEnd(m, d) - from
  local out, reached = page(m, d, from, math.min(PAGE_ENTRIES, math.max(0, room)))
  s.sent = reached
  s.mode = reached >= m.tail and 'l' or 'd'
  saveSession(conn, s)
  return { conn, s.slot, m.gen, s.mode, int(d.high), int(m.tail), unpack(out) }
end
