-- log: a rate counter for small maxima (up to 128), with exact times and no strictness at all.
--
-- A string: newest time and total, each 6 bytes, then 5 bytes for each entry in order of time: the
-- time modulo 2^32 ms (49 days; no window is longer than 31) and how many units, up to 255.

local HEAD, ENTRY, TURN, MOST = 12, 5, 4294967296, 255

local function entry(state, at)
  local low, amount = struct.unpack('<I4B', state.raw, at)
  return state.newest - (state.newest - low) % TURN, amount
end

local function packed(time, amount)
  local parts = {}
  while amount > 0 do
    local some = math.min(amount, MOST)
    parts[#parts + 1] = struct.pack('<I4B', time % TURN, some)
    amount = amount - some
  end
  return table.concat(parts)
end

local function fits_at(state, need)
  local freed = 0
  for at = state.first, state.raw and #state.raw or 0, ENTRY do
    local time, amount = entry(state, at)
    freed = freed + amount
    if freed >= need then return time + state.window end
  end
  return state.now + state.window
end

local function peek(raw, now, window, carried)
  local state = {now = now, window = window, first = HEAD + 1, used = carried, carried = carried, fits_at = fits_at}
  if not raw then return state end
  local newest, total = struct.unpack('<I6I6', raw)
  state.raw, state.newest, state.now = raw, newest, math.max(now, newest)
  local edge = state.now - window
  while state.first <= #raw do
    local time, amount = entry(state, state.first)
    if time > edge then break end
    total, state.first = total - amount, state.first + ENTRY
  end
  state.used = total + carried
  return state
end

local function apply(key, state, cost, window)
  local total = state.used + cost
  local entries = state.raw and string.sub(state.raw, state.first) or ''
  local raw = struct.pack('<I6I6', state.now, total) .. entries .. packed(state.now, state.carried + cost)
  redis.call('SET', key, raw, 'PX', window + 1000)
  state.raw, state.newest, state.first = raw, state.now, HEAD + 1
  state.used, state.carried = total, 0
  return 0, state.now
end

local function undo(key, _, time, amount)
  local raw = redis.call('GET', key)
  if not raw then return 0 end
  local newest, total = struct.unpack('<I6I6', raw)
  local state, kept, taken = {raw = raw, newest = newest}, {}, 0
  for at = HEAD + 1, #raw, ENTRY do
    local when, held = entry(state, at)
    local some = when == time and math.min(held, amount - taken) or 0
    taken = taken + some
    kept[#kept + 1] = packed(when, held - some)
  end
  redis.call('SET', key, struct.pack('<I6I6', newest, total - taken) .. table.concat(kept), 'KEEPTTL')
  return taken
end

return {peek = peek, apply = apply, undo = undo}
