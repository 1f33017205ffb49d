-- The one script: checks all counters of a request and charges all of them or none. This file has
-- what the operations share; they are in charge.lua and settle.lua, the message record is in
-- record.lua. Each counter type is a file.
--
-- KEYS: the message record, the state of the account, then one counter for each charge; all on one
--       hash slot. In a cluster one more, `absent`, which never exists: while a slot moves from node
--       to node, Redis runs nothing that declares a missing key beside others, and so no call meets
--       half of the keys.
-- ARGV: numbers {op, now (0: the time of Redis), not_after (0: never too late), keep (ms the record
--       lives), recipients, uncharged, suspensions}, seed of references, fingerprint ("": there is
--       no record), then for each charge its numbers {type, flags, cost, max, window, lock}, then
--       the fields of the state that matter: so many suspensions, one raise for each charge, one
--       lock for each charge that has one. op, type, flags and suspensions are one byte, all other
--       numbers eight. Behind a charge's numbers stands what only its type knows.
-- Reply: code (10 more when it repeats an answer), now, then used and max for each charge, then for
--       each charge that did not fit: its number, fits_at, ref, 1 if the episode started now; and for
--       each that fits at the slot of its pace, which is to come: its number, the slot, no ref, 2.
--       Of who is suspended: SUSPENDED, now, the number of the suspension, its end (0: when it is
--       resumed), its ref.
--
-- A counter type has peek(key, now, window, numbers, rest), which returns a state with `used`, and
-- `missing` when nothing is stored; fits_at(state, need); apply(state, units, max), which returns the
-- receipt's grain and place, nothing when there is nothing to undo; undo(key, grain, place, units). It
-- may have note(state), for what is refused; and its states need(max), how much is too much, where that
-- is not what `used` and the cost are over max.
--
-- Whatever is made here is made at every call, so the way of most calls makes little.

local REFUSED, ADMITTED, UNKNOWN, LATE, SUSPENDED = 0, 1, 2, 3, 4
local REPEATED = 10
local CHARGE, SETTLE, GIVE_BACK, PEEK = 1, 2, 3, 4
local OBSERVED, ONCE, SKIPPED = 1, 2, 4
local KEYS_BEFORE, ARGV_BEFORE = 2, 3 -- the charges

local op, now, not_after, keep, recipients, uncharged, suspensions = struct.unpack('<I1I8I8I8I8I8I1', ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
if not_after > 0 and now > not_after then return {LATE, now} end

local fingerprint, count = ARGV[3], #KEYS - KEYS_BEFORE
local start = string.sub(KEYS[1], 1, string.find(KEYS[1], '}:', 1, true) + 1)
if KEYS[#KEYS] == start .. 'absent' then count = count - 1 end
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
