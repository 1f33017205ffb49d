-- log: a rate counter for small maxima (up to 128), with exact times and no strictness at all.
--
-- A string: newest time and total, each 6 bytes, then 5 bytes for each entry in order of time: the
-- time modulo 2^32 ms (49 days; no window is longer than 31) and how many units, up to 255.

local HEAD, ENTRY, TURN, MOST = 12, 5, 4294967296, 255
local LONGEST = 140 * ENTRY

local function entry(raw, at, newest)
  local low, units = struct.unpack('<I4B', raw, at)
  return newest - (newest - low) % TURN, units
end

local function packed(time, units)
  if units > 0 and units <= MOST then return struct.pack('<I4B', time % TURN, units) end
  local parts = {}
  while units > 0 do
    parts[#parts + 1] = struct.pack('<I4B', time % TURN, math.min(units, MOST))
    units = units - MOST
  end
  return table.concat(parts)
end

-- A log that counts past its max (observed, forced) would grow with the traffic. Then all entries
-- of one sixtieth of the window are joined at the newest time among them: strict, never lax.
local function thinned(entries, newest, window)
  local grain, parts, time, units = window / 60, {}, nil, 0
  for at = 1, #entries, ENTRY do
    local when, some = entry(entries, at, newest)
    if time and math.floor(when / grain) > math.floor(time / grain) then
      parts[#parts + 1], units = packed(time, units), 0
    end
    time, units = when, units + some
  end
  return table.concat(parts) .. packed(time, units)
end

-- The moment from which `need` units fewer are counted. Units that are not stored yet are the
-- newest.
local function fits_at(state, need)
  local freed = 0
  for at = state.first, #state.raw, ENTRY do
    local time, units = entry(state.raw, at, state.newest)
    freed = freed + units
    if freed >= need then return time + state.window end
  end
  return state.now + state.window
end

-- What the counter holds at `now`.
local function peek(key, now, window)
  local raw = redis.call('GET', key)
  local state = {key = key, now = now, window = window, used = 0, raw = raw, first = HEAD + 1}
  if not raw then
    state.missing, state.raw = true, ''
    return state
  end
  local newest, total = struct.unpack('<I6I6', raw)
  state.newest, state.now = newest, math.max(now, newest)
  while state.first <= #raw do
    local time, units = entry(raw, state.first, newest)
    if time > state.now - window then break end
    total, state.first = total - units, state.first + ENTRY
  end
  state.used = total
  return state
end

-- Puts `units` on the counter and returns where: the receipt's grain and place.
local function apply(state, units)
  state.used = state.used + units
  local entries = string.sub(state.raw, state.first) .. packed(state.now, units)
  if #entries > LONGEST then entries = thinned(entries, state.now, state.window) end
  redis.call('SET', state.key, struct.pack('<I6I6', state.now, state.used) .. entries, 'PX', state.window + 1000)
  return 0, state.now
end

-- Takes `units` back out of the place that the receipt names. What has left the window, or was
-- joined with later ones since, stays as it is.
local function undo(key, _, time, units)
  local raw = redis.call('GET', key)
  if not raw then return end
  local newest, total = struct.unpack('<I6I6', raw)
  local kept = {}
  for at = HEAD + 1, #raw, ENTRY do
    local when, held = entry(raw, at, newest)
    local taken = when == time and math.min(held, units) or 0
    total, units = total - taken, units - taken
    kept[#kept + 1] = packed(when, held - taken)
  end
  redis.call('SET', key, struct.pack('<I6I6', newest, total) .. table.concat(kept), 'KEEPTTL')
end

return {peek = peek, fits_at = fits_at, apply = apply, undo = undo}
