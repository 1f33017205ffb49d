-- ring: a rate counter for large maxima. O(1), 384 bytes.
--
-- 61 slots of window/60: the current one and the 60 before it. With 60, a full slot at the start
-- of one window and a full one at its end would both pass. A string: width, newest slot, total,
-- then the 61 cells, each 6 bytes. Slots only move forward, so a clock that steps back stands still.

local SLOTS, HEAD, CELL = 61, 18, 6

local function cell(raw, slot)
  return (struct.unpack('<I6', raw, HEAD + slot % SLOTS * CELL + 1))
end

local function with_cell(raw, slot, value)
  local at = HEAD + slot % SLOTS * CELL
  return string.sub(raw, 1, at) .. struct.pack('<I6', value) .. string.sub(raw, at + CELL + 1)
end

-- Empties `count` slots from `first` on, in at most two cuts.
local function emptied(raw, first, count)
  while count > 0 do
    local position = first % SLOTS
    local run = math.min(count, SLOTS - position)
    local at = HEAD + position * CELL
    raw = string.sub(raw, 1, at) .. string.rep('\0', run * CELL) .. string.sub(raw, at + run * CELL + 1)
    first, count = first + run, count - run
  end
  return raw
end

local function fits_at(state, need)
  local freed = 0
  for slot = state.slot - SLOTS + 1, state.slot do
    freed = freed + (state.raw and cell(state.raw, slot) or 0)
    if slot == state.slot then freed = freed + state.carried end
    if freed >= need then return (slot + SLOTS) * state.width end
  end
end

-- What the counter holds at `now`. `carried` units, from a counter of another width or type, go
-- into the newest slot: strict, never lax.
local function peek(raw, now, window, carried)
  local width = math.ceil(window / 60)
  local slot = math.floor(now / width)
  local state = {width = width, slot = slot, used = carried, carried = carried, fits_at = fits_at}
  if not raw then return state end
  local stored, newest, total = struct.unpack('<I6I6I6', raw)
  if stored ~= width then
    local live = math.max(now, newest * stored) < (newest + SLOTS) * stored
    state.slot = math.max(slot, math.floor(newest * stored / width))
    state.carried = carried + (live and total or 0)
    state.used = state.carried
    return state
  end
  state.slot = math.max(slot, newest)
  local gone = state.slot - newest
  if gone >= SLOTS then return state end
  for old = newest + 1, state.slot do total = total - cell(raw, old) end
  state.raw = gone > 0 and emptied(raw, newest + 1, gone) or raw
  state.used = total + carried
  return state
end

-- Puts `cost` units on the counter and returns the receipt's grain and place.
local function apply(key, state, cost, window)
  local raw = state.raw or string.rep('\0', HEAD + SLOTS * CELL)
  local total = state.used + cost
  local added = (state.raw and cell(raw, state.slot) or 0) + state.carried + cost
  raw = with_cell(raw, state.slot, added)
  raw = struct.pack('<I6I6I6', state.width, state.slot, total) .. string.sub(raw, HEAD + 1)
  redis.call('SET', key, raw, 'PX', state.width * (SLOTS + 1))
  state.raw, state.carried, state.used = raw, 0, total
  return state.width, state.slot
end

-- Takes `amount` units back out of the place that the receipt names, and returns how many were
-- still there. What has left the window, or was collapsed since, stays as it is.
local function undo(key, grain, slot, amount)
  local raw = redis.call('GET', key)
  if not raw then return 0 end
  local width, newest, total = struct.unpack('<I6I6I6', raw)
  if width ~= grain or slot > newest or slot <= newest - SLOTS then return 0 end
  local held = cell(raw, slot)
  local taken = math.min(held, amount)
  raw = with_cell(raw, slot, held - taken)
  raw = struct.pack('<I6I6I6', width, newest, total - taken) .. string.sub(raw, HEAD + 1)
  redis.call('SET', key, raw, 'KEEPTTL')
  return taken
end

return {peek = peek, apply = apply, undo = undo}
