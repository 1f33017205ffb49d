-- ring: a rate counter for large maxima. O(1), 384 bytes.
--
-- 61 slots of window/60: the newest one and the 60 before it. With 60, a full slot at the start
-- of one window and a full one at its end would both pass. Slots only move forward, so a clock
-- that steps back stands still.
--
-- How it is stored is in slots.lua.

-- The cells as numbers: the units of slot s are in [s % PAST + 1].
local function unpacked(key, from, changed)
  local cells = redis.call('GETRANGE', key, HEAD, '-1')
  if changed then
    cells = string.sub(cells, 1, CELL * from) .. changed .. string.sub(cells, CELL * from + #changed + 1)
  end
  return {struct.unpack('<' .. string.rep('I6', PAST), cells)}
end

local function packed(cells)
  return struct.pack('<' .. string.rep('I6', PAST), unpack(cells, 1, PAST))
end

-- The moment from which `need` units fewer are counted. Units that are not stored yet are in the
-- newest slot.
local function fits_at(state, need)
  local cells, freed = unpacked(state.key, state.from, state.cells), 0
  for past = state.slot - PAST, state.slot - 1 do
    freed = freed + cells[past % PAST + 1]
    if freed >= need then return (past + PAST + 1) * state.width end
  end
  return (state.slot + PAST + 1) * state.width
end

-- What the counter holds at `now`.
local function peek(key, now, window)
  local width, slot, used, current, from, cells, missing = slots(key, now, window)
  return {key = key, now = now, width = width, slot = slot, used = used, current = current, from = from,
          cells = cells, missing = missing}
end

-- Puts `units` on the counter and returns where: the receipt's grain and place.
local function apply(state, units)
  local width, slot = state.width, state.slot
  state.used = state.used + units
  write_slots(state.key, state.now, width, slot, state.used, state.current + units, state.from, state.cells)
  return width, slot
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
