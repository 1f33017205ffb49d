-- slots: what a ring holds at a moment, and how that is written. A string of 6-byte numbers: width,
-- newest slot, total, units in the newest slot; then one cell for each of the 60 slots before it, that
-- of slot s in cell s % PAST. While the slot stays the same, only the first four change.

local PAST, HEAD, CELL = 60, 24, 6

local function empty_cells(count)
  return string.rep('\0', CELL * count)
end

local function sum_of_cells(raw, first, count)
  local sum, cells = 0, {struct.unpack('<' .. string.rep('I6', count), raw, HEAD + CELL * first + 1)}
  for at = 1, count do sum = sum + cells[at] end
  return sum
end

-- What changes in the cells when `slot` becomes the newest: from which cell on, and to what. How many
-- units are too old then.
local function moved(raw, newest, current, slot)
  local first, steps = newest % PAST, slot - newest
  local turned = first + steps - PAST
  local cell = struct.pack('<I6', current)
  if turned <= 0 then return first, cell .. empty_cells(steps - 1), sum_of_cells(raw, first, steps) end
  local kept = string.sub(raw, HEAD + CELL * turned + 1, HEAD + CELL * first)
  local old = sum_of_cells(raw, first, PAST - first) + sum_of_cells(raw, 0, turned)
  return 0, empty_cells(turned) .. kept .. cell .. empty_cells(PAST - first - 1), old
end

-- Width, newest slot, total, units in the newest slot; from which cell on the cells change, and to what,
-- if they do; whether nothing is stored. The total of another width goes into the newest slot: strict,
-- never lax.
local function slots(key, now, window)
  local width, raw = math.ceil(window / PAST), redis.call('GET', key)
  local slot = math.floor(now / width)
  if not raw then return width, slot, 0, 0, 0, empty_cells(PAST), true end
  local stored, newest, total, current = struct.unpack('<I6I6I6I6', raw)
  if stored ~= width then
    local kept = now < (newest + PAST + 1) * stored and total or 0
    return width, math.max(slot, math.floor(newest * stored / width)), kept, kept, 0, empty_cells(PAST)
  end
  if slot <= newest then return width, newest, total, current end
  if slot > newest + PAST then return width, slot, 0, 0, 0, empty_cells(PAST) end
  local from, cells, old = moved(raw, newest, current, slot)
  return width, slot, total - old, 0, from, cells
end

local function write_slots(key, now, width, slot, total, current, from, cells)
  local head, lives = struct.pack('<I6I6I6I6', width, slot, total, current), (slot + PAST + 2) * width - now
  if cells and #cells == CELL * PAST then
    redis.call('SET', key, head .. cells, 'PX', lives)
    return
  end
  redis.call('SETRANGE', key, '0', head)
  if cells then
    redis.call('SETRANGE', key, HEAD + CELL * from, cells)
    redis.call('PEXPIRE', key, lives)
  end
end

