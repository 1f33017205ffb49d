-- members: distinct members, remembered in generations. Of it the types set and distinct are made.
--
-- What is held has its `key`, `now`, how long a generation is (`grain`, ms), the number of the present
-- one (`generation`), and `generations`: of each its number, shards and members, oldest first. Keys
-- `<key>:<generation>:<shard>` are sets of members.
--
-- The present generation and the 4 before it count. A member is in one generation only, so the size is
-- the sum of their members. Members are 64-bit numbers as text, and a shard is small enough for Redis
-- to pack it.

local PAST, SHARD = 4, 320

local function forget_past(held)
  local generations = held.generations
  while generations[1] and generations[1][1] < held.generation - PAST do table.remove(generations, 1) end
end

local function members(held)
  local sum = 0
  for _, generation in ipairs(held.generations) do sum = sum + generation[3] end
  return sum
end

local function shard(held, generation, member)
  local number = tonumber(string.sub(member, -6)) % generation[2]
  return string.format('%s:%.0f:%.0f', held.key, generation[1], number)
end

-- A counter that was reset has left its sets behind.
local function empty(held, generation)
  for number = 0, generation[2] - 1 do
    redis.call('DEL', string.format('%s:%.0f:%.0f', held.key, generation[1], number))
  end
end

-- The generation that somebody is a member of, the newest first; nil for none.
local function found(held, member)
  for at = #held.generations, 1, -1 do
    local generation = held.generations[at]
    if redis.call('SISMEMBER', shard(held, generation, member), member) == 1 then return generation end
  end
end

-- Makes somebody a member, of the present generation, unless there are more than `ceiling` already.
-- Returns whether he is new.
local function add(held, member, ceiling)
  local generations = held.generations
  local newest, from = generations[#generations], found(held, member)
  if from and from[1] == held.generation or not from and members(held) > ceiling then return false end
  if not newest or newest[1] < held.generation then
    newest = {held.generation, math.max(1, math.ceil(ceiling / SHARD)), 0}
    generations[#generations + 1] = newest
    empty(held, newest)
  end
  if from then
    redis.call('SREM', shard(held, from, member), member)
    from[3] = from[3] - 1
  end
  local key = shard(held, newest, member)
  redis.call('SADD', key, member)
  redis.call('PEXPIRE', key, (held.generation + PAST + 1) * held.grain - held.now)
  newest[3] = newest[3] + 1
  return not from
end

-- Takes a member out of the generation of that number; returns whether he was in it.
local function take_out(held, number, member)
  for _, generation in ipairs(held.generations) do
    if generation[1] == number and redis.call('SREM', shard(held, generation, member), member) == 1 then
      generation[3] = generation[3] - 1
      return true
    end
  end
  return false
end

