-- set: the distinct members that a list mails to, for the limits of its size.
--
-- All limits of one list share what is kept of it. Key `set:<subject>` has in msgpack: the largest size
-- that was seen, and when; the size that the latest mailing is judged by (-1: there was none), 1 if that
-- is exact, when it began and when it was asked for last; 1 if the latest recipients are counted as
-- members; how many generations there are, and of each its number, shards and members (members.lua);
-- the latest distinct recipients with their times and connections, oldest first.
--
-- A generation is 6 h, so a member is remembered for 24 to 30 h.
--
-- Who comes alone over his connection is answered, not mailed to: he fits, and is no member, and however
-- many there are they make no mailing. A connection is a number, 0 where nothing is told by it, negative
-- once several came over it.
--
-- A fan-out to more distinct recipients within 15 min than the charge says is a mailing. What is below
-- fits, and makes no members. A mailing is judged by the size that is known when it begins, so that
-- one post has one verdict; it goes on while something of it is asked for in each hour, for a day. A
-- clock that steps back by more than an hour ends it. All else that is kept stands still meanwhile.
--
-- Behind a charge's numbers: more than how many recipients make a mailing, and the grace in percent of
-- a size that is not exact (2 bytes each), 1 more than the size that is known by better means (8 bytes;
-- 0: none is), the connection (2 bytes), the member ("": nobody, the list itself is looked at).

local GENERATION, SOON, HOUR, DAY = 21600000, 900000, 3600000, 86400000
local opened = {}

-- What is kept of a list, once for all charges of a call.
local function open(key, now)
  local list = opened[key]
  if list then return list end
  list = {key = key, now = now, real = now, grain = GENERATION, window = 0, top = 0, top_at = 0, judged = -1, exact = 0,
          began = 0, last = 0, counted = 0, generations = {}, recent = {}}
  opened[key] = list
  local raw = redis.call('GET', key)
  if raw then
    local values = {cmsgpack.unpack(raw)}
    list.top, list.top_at, list.judged, list.exact, list.began, list.last, list.counted = unpack(values, 1, 7)
    local last = 8 + 3 * values[8]
    for at = 9, last, 3 do list.generations[#list.generations + 1] = {unpack(values, at, at + 2)} end
    for at = last + 1, #values, 3 do list.recent[#list.recent + 1] = {unpack(values, at, at + 2)} end
  end
  local recent = list.recent
  if recent[1] then list.now = math.max(now, recent[#recent][2]) end
  list.goes_on = list.judged >= 0 and math.abs(now - list.last) <= HOUR and now - list.began <= DAY
  list.generation = math.floor(list.now / GENERATION)
  forget_past(list)
  return list
end

local function keep(list, ttl)
  local values = {list.top, list.top_at, list.judged, list.exact, list.began, list.last, list.counted,
                  #list.generations}
  for _, generation in ipairs(list.generations) do
    for _, value in ipairs(generation) do values[#values + 1] = value end
  end
  for _, one in ipairs(list.recent) do
    for _, value in ipairs(one) do values[#values + 1] = value end
  end
  redis.call('SET', list.key, cmsgpack.pack(unpack(values)), unpack(ttl))
end

-- The largest size that is not too large.
local function largest(max, state)
  return max + math.floor(max * state.grace / 100)
end

-- What is known of the list before the recipient is counted.
local function peek(key, now, window, argv, at)
  local over, grace, known, connection, rest = struct.unpack('<I2I2I8I2', argv, at)
  local start, subject = string.match(key, '^(.-}:set:)[^:]*:(.*)$')
  local list, member, others, alone = open(start .. subject, now), string.sub(argv, rest), {}, connection > 0
  list.window = math.max(list.window, window)
  for _, one in ipairs(list.recent) do
    if one[1] ~= member and one[2] > list.now - SOON then
      if one[3] == connection or one[3] == -connection then alone = false end
      if one[3] <= 0 or one[3] == connection then others[#others + 1] = one end
    end
  end
  local mailing, size, exact = not alone and #others >= over, known - 1, known > 0 and 1 or 0
  if exact == 0 then size = math.max(members(list), list.now - list.top_at < window and list.top or 0) end
  local uncounted = list.counted == 0 and others or {}
  local state = {list = list, member = member, over = over, mailing = mailing, uncounted = uncounted, used = size,
                 connection = connection, alone = alone}
  if mailing and exact == 0 and member ~= '' then size = math.max(size, #others + 1) end
  if member ~= '' and list.goes_on and not (exact == 1 and size < list.judged) then
    size, exact = list.judged, list.exact
  end
  state.judged, state.exact, state.grace = size, exact, exact == 1 and 0 or grace
  function state.need(max)
    if not mailing and member ~= '' then return 0 end
    return size - largest(max, state)
  end
  return state
end

-- The moment from which what was seen counts no longer; a size that is exact has none.
local function fits_at(state)
  if state.exact == 1 then return -1 end
  local list = state.list
  return (list.top > 0 and list.top_at or list.now) + list.window
end

-- Notes that somebody was asked for, admitted or not: a mailing goes on while it is tried.
local function note(state, counted)
  local list, recent, connection = state.list, state.list.recent, state.connection
  local room = math.max(state.over, 1)
  local rooms, latest = {[true] = room, [false] = room}, {}
  recent[#recent + 1] = {state.member, list.now, connection, new = true}
  for at = #recent, 1, -1 do
    local one = recent[at]
    if one[3] == connection and not state.alone then one[3] = -connection end
    local alone = one[3] > 0
    if (one.new or one[1] ~= state.member and one[2] > list.now - SOON) and rooms[alone] > 0 then
      table.insert(latest, 1, {unpack(one, 1, 3)})
      rooms[alone] = rooms[alone] - 1
    end
  end
  list.recent, list.counted = latest, counted
  if state.mailing then
    if not list.goes_on then list.began, list.goes_on = list.real, true end
    list.judged, list.exact, list.last = state.judged, state.exact, list.real
  end
  local lives = list.generations[1] and (PAST + 1) * GENERATION or HOUR
  keep(list, {'PX', math.max(lives, list.top > 0 and list.top_at + list.window - list.now or 0)})
end

-- Counts the recipient of a mailing, and those before it that made it one. Returns the generation and
-- the member when it is new: the receipt's grain and place.
local function apply(state, _, max)
  local list, new = state.list, false
  if state.mailing then
    for _, one in ipairs(state.uncounted) do add(list, one[1], largest(max, state)) end
    new = add(list, state.member, largest(max, state))
    local size = members(list)
    if size >= list.top or list.now - list.top_at >= list.window then list.top, list.top_at = size, list.now end
    if state.exact == 0 then state.used = math.max(size, list.top) end
  end
  note(state, state.mailing and 1 or 0)
  if new then return list.generation, state.member end
end

-- Takes a member out again, if it is in the generation that the receipt names.
local function undo(key, number, member)
  local start, subject = string.match(key, '^(.-}:set:)[^:]*:(.*)$')
  local list = open(start .. subject, 0)
  if take_out(list, number, member) then keep(list, {'KEEPTTL'}) end
end

return {peek = peek, fits_at = fits_at, apply = apply, undo = undo, note = note}
