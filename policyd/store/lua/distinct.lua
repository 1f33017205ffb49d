-- distinct: how many different members a subject has had within a window.
--
-- In msgpack: how long a generation is; how many members of another length of it count on, and until
-- when; how many generations there are, and of each its number, shards and members (members.lua).
--
-- A generation is a quarter of the window, so a member is remembered for 1 to 1 1/4 windows. Who is a
-- member already costs nothing. When the window changes, all who counted last count on for one of the
-- new windows: strict, never lax.
--
-- Behind a charge's numbers: 14 bytes that are of lists, then the member ("": nobody in particular).

local BEFORE_MEMBER = 14

-- What is kept, by the lengths that it was kept in.
local function open(key, now)
  local held = {key = key, now = now, grain = 0, left = 0, left_until = 0, generation = 0, generations = {}}
  local raw = redis.call('GET', key)
  if raw then
    local values, count = {cmsgpack.unpack(raw)}, nil
    held.grain, held.left, held.left_until, count = unpack(values, 1, 4)
    for at = 5, 4 + 3 * count, 3 do held.generations[#held.generations + 1] = {unpack(values, at, at + 2)} end
    local newest = held.generations[#held.generations]
    held.generation = math.max(math.floor(now / held.grain), newest and newest[1] or 0)
    forget_past(held)
  end
  if held.left_until <= now then held.left = 0 end
  return held
end

local function keep(held, ttl)
  local values = {held.grain, held.left, held.left_until, #held.generations}
  for _, generation in ipairs(held.generations) do
    for _, value in ipairs(generation) do values[#values + 1] = value end
  end
  redis.call('SET', held.key, cmsgpack.pack(unpack(values)), unpack(ttl))
end

local function peek(key, now, window, argv, at)
  local held, grain = open(key, now), math.ceil(window / PAST)
  if held.grain ~= grain then
    held.left = held.left + members(held)
    if held.left > 0 then held.left_until = now + window end
    held.grain, held.generation, held.generations = grain, math.floor(now / grain), {}
  end
  local member = string.sub(argv, at + BEFORE_MEMBER)
  local state = {held = held, member = member, used = held.left + members(held)}
  function state.need(max)
    if member ~= '' and found(held, member) then return 0 end
    return state.used + 1 - max
  end
  return state
end

-- The moment from which `need` members fewer count; never where that is more than there are.
local function fits_at(state, need)
  local held, leaving = state.held, {{state.held.left_until, state.held.left}}
  for _, generation in ipairs(held.generations) do
    leaving[#leaving + 1] = {(generation[1] + PAST + 1) * held.grain, generation[3]}
  end
  table.sort(leaving, function(one, other) return one[1] < other[1] end)
  for _, part in ipairs(leaving) do
    need = need - part[2]
    if need <= 0 then return part[1] end
  end
  return -1
end

-- Counts the member, if fewer count than one more than max. Returns the generation and the member when
-- it is new: the receipt's grain and place.
local function apply(state, _, max)
  local held = state.held
  local new = add(held, state.member, max - held.left)
  state.used = held.left + members(held)
  keep(held, {'PX', math.max((held.generation + PAST + 1) * held.grain, held.left_until) - held.now})
  if new then return held.generation, state.member end
end

-- Takes a member out again, if it is in the generation that the receipt names.
local function undo(key, number, member)
  local held = open(key, 0)
  if take_out(held, number, member) then keep(held, {'KEEPTTL'}) end
end

return {peek = peek, fits_at = fits_at, apply = apply, undo = undo}
