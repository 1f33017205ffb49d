-- ring: a rate counter for large maxima. O(1), 384 bytes.
--
-- 61 slots of window/60: the newest one and the 60 before it. With 60, a full slot at the start
-- of one window and a full one at its end would both pass. Slots only move forward, so a clock
-- that steps back stands still.
--
-- A string of 6-byte numbers: width, newest slot, total, units in the newest slot; then one cell
-- for each of the 60 slots before it. While the slot stays the same, only the first four change.

local PAST, EMPTY = 60, 360

-- The cells as numbers: the units of slot s are in [s % PAST + 1].
local function unpacked(key, cells)
  return {struct.unpack('<' .. string.rep('I6', PAST), cells or redis.call('GETRANGE', key, '24', '-1'))}
end

local function packed(cells)
  return struct.pack('<' .. string.rep('I6', PAST), unpack(cells, 1, PAST))
end

-- The cells when `slot` becomes the newest, and how many units are too old then.
local function moved(key, newest, current, slot)
  local cells, old = unpacked(key), 0
  for past = newest, slot - 1 do
    local at = past % PAST + 1
    old, cells[at] = old + cells[at], past == newest and current or 0
  end
  return packed(cells), old
end

-- The moment from which `need` units fewer are counted. Units that are not stored yet are in the
-- newest slot.
local function fits_at(state, need)
  local cells, freed = unpacked(state.key, state.cells), 0
  for past = state.slot - PAST, state.slot - 1 do
    freed = freed + cells[past % PAST + 1]
    if freed >= need then return (past + PAST + 1) * state.width end
  end
  return (state.slot + PAST + 1) * state.width
end

-- What the counter holds at `now`. The total of another width goes into the newest slot: strict,
-- never lax.
local function peek(key, now, window)
  local width = math.ceil(window / PAST)
  local slot = math.floor(now / width)
  local used, current, cells, missing = 0, 0, false, false
  local head = redis.call('GETRANGE', key, '0', '23')
  if head == '' then
    missing, cells = true, string.rep('\0', EMPTY)
  else
    local stored, newest, total, last = struct.unpack('<I6I6I6I6', head)
    if stored ~= width then
      if now < (newest + PAST + 1) * stored then used, current = total, total end
      slot, cells = math.max(slot, math.floor(newest * stored / width)), string.rep('\0', EMPTY)
    elseif slot <= newest then
      slot, used, current = newest, total, last
    elseif slot > newest + PAST then
      cells = string.rep('\0', EMPTY)
    else
      local old
      cells, old = moved(key, newest, last, slot)
      used = total - old
    end
  end
  return {key = key, now = now, width = width, slot = slot, used = used, current = current, cells = cells, missing = missing}
end

-- Puts `units` on the counter and returns where: the receipt's grain and place.
local function apply(state, units)
  local width, used, current = state.width, state.used + units, state.current + units
  local head = struct.pack('<I6I6I6I6', width, state.slot, used, current)
  state.used = used
  if state.cells then
    redis.call('SET', state.key, head .. state.cells, 'PX', (state.slot + PAST + 2) * width - state.now)
  else
    redis.call('SETRANGE', state.key, '0', head)
  end
  return width, state.slot
end

-- Takes `units` back out of the place that the receipt names. What has left the window, or was
-- collapsed since, stays as it is.
local function undo(key, grain, slot, units)
  local head = redis.call('GETRANGE', key, '0', '23')
  if head == '' then return end
  local width, newest, total, current = struct.unpack('<I6I6I6I6', head)
  if width ~= grain or slot > newest or slot < newest - PAST then return end
  local cells, at = unpacked(key), slot % PAST + 1
  local held = slot == newest and current or cells[at]
  local taken = math.min(held, units)
  if slot == newest then current = current - taken else cells[at] = held - taken end
  redis.call('SETRANGE', key, '0', struct.pack('<I6I6I6I6', width, newest, total - taken, current) .. packed(cells))
end

return {peek = peek, fits_at = fits_at, apply = apply, undo = undo}
