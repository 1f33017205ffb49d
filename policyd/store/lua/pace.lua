-- pace: one unit in each `window` ms (GCRA). Who charges takes the next free slot, even one to come:
-- `used` is how long it is away, in ms, and `max` is how long it may be.
--
-- A string of two 6-byte numbers: when a slot was taken last, and where the free ones begin. What is
-- free at once needs no key, so nothing is ever `missing`.

local LONGER = 600000 -- what a key outlives its slots by, in ms

-- How long the next slot is away at `now`. A clock that steps back takes the slots with it.
local function peek(key, now, window)
  local raw, wait = redis.call('GET', key), 0
  if raw then
    local at, free = struct.unpack('<I6I6', raw)
    wait = math.max(0, free - math.max(at, now))
  end
  return {key = key, now = now, window = window, used = wait}
end

-- The moment from which the slot is `need` ms nearer.
local function fits_at(state, need)
  return state.now + need
end

-- Takes `units` slots and returns how long one is, and the first: the receipt's grain and place.
local function apply(state, units)
  local slot, window = state.now + state.used, state.window
  state.used = state.used + units * window
  local times = struct.pack('<I6I6', state.now, slot + units * window)
  redis.call('SET', state.key, times, 'PX', state.used + LONGER)
  return window, slot
end

-- Frees the slots that the receipt names, if nobody has taken a later one.
local function undo(key, window, slot, units)
  local raw = redis.call('GET', key)
  if not raw then return end
  local at, free = struct.unpack('<I6I6', raw)
  if free == slot + units * window then redis.call('SET', key, struct.pack('<I6I6', at, slot), 'KEEPTTL') end
end

return {peek = peek, fits_at = fits_at, apply = apply, undo = undo}
