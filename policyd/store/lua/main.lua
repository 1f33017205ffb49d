-- What the operations share.
--
-- A counter type has peek(key, now, window, numbers, rest), which returns a state with `used`, and
-- `missing` when nothing is stored; fits_at(state, need); apply(state, units, max), which returns the
-- receipt's grain and place, nothing when there is nothing to undo; undo(key, grain, place, units). It
-- may have note(state), for what is refused; and its states need(max), how much is too much, where that
-- is not what `used` and the cost are over max.

local counters, charges = {}, {}

local function counter(type)
  local made = counters[type]
  if not made then
    made = types[type]()
    counters[type] = made
  end
  return made
end

local function has(flags, flag)
  return flags % (flag * 2) >= flag
end

-- The charge of a number, with what its counter holds. A limit whose max crossed the border
-- between the types goes on with what the other type holds, as `moved` units.
local function looked(number)
  local key = KEYS[KEYS_BEFORE + number]
  local numbers = ARGV[ARGV_BEFORE + number]
  local type, flags, cost, max, window, lock, rest = struct.unpack('<I1I1I8I8I8I8', numbers)
  local state = counter(type).peek(key, now, window, numbers, rest)
  local charge = {type = type, name = string.sub(key, #start + #names[type] + 2), state = state, flags = flags,
                  cost = cost, max = max, window = window, lock = lock, used = state.used, moved = 0, left = false}
  if state.missing then
    local other = type == RING and LOG or RING
    local held = counter(other).peek(start .. names[other] .. ':' .. charge.name, now, window)
    if not held.missing then charge.used, charge.moved, charge.left = held.used, held.used, held.key end
  end
  return charge
end

-- Puts units on a counter and their receipt into those of the message.
local function put(receipts, charge, units)
  local grain, place = counter(charge.type).apply(charge.state, units + charge.moved, charge.max)
  charge.used = charge.state.used
  if charge.left then redis.call('DEL', charge.left) end
  if not grain then return end
  local receipt = receipts[charge.name]
  if not receipt then
    receipts[charge.name] = {charge.type, 0, grain, place, units}
    return
  end
  local last = #receipt
  receipt[1] = charge.type
  if last > 300 or last > 2 and receipt[last - 2] == grain and receipt[last - 1] == place then
    receipt[last] = receipt[last] + units
  else
    receipt[last + 1], receipt[last + 2], receipt[last + 3] = grain, place, units
  end
end

-- The reply; `unfit` says what there is to say of the charges that do not fit, or not yet.
local function answer(code, unfit)
  local reply = {code, now}
  for number, charge in ipairs(charges) do
    reply[2 * number + 1], reply[2 * number + 2] = charge.used, charge.max
  end
  for _, said in ipairs(unfit) do
    for _, value in ipairs(said) do reply[#reply + 1] = value end
  end
  return reply
end
