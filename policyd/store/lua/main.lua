-- The one script: checks all counters of a request and charges all of them or none. This file has
-- what the operations share; they are in charge.lua and settle.lua. Each counter type is a file.
--
-- KEYS: the message record, then one counter for each charge; all on one hash slot.
-- ARGV: op, seed of references, fingerprint ("": there is no record), keep (ms the record lives),
--       numbers {now (0: the time of Redis), not_after (0: never too late), recipients, uncharged},
--       then for each charge: type, numbers {cost, max, window, flags}. Numbers are 8 bytes each.
-- Reply: code (10 more when it repeats an answer), now, then used and max for each charge, then for
--       each charge that did not fit: its number, fits_at, ref, 1 if the episode started now.
--
-- A record is a msgpack map: f fingerprint, a answer and n number of charges of the last request,
-- s settled, r receipts by `limit:subject`: {type, skipped, grain, place, units, grain, place, ...}.
-- Readers ignore what they do not know; within format 1 fields are only added.
--
-- A counter type has peek(key, now, window), which returns a state with `used`, `missing` when
-- nothing is stored, and fits_at(need); apply(state, units), which returns the receipt's grain and
-- place; undo(key, grain, place, units).

local REFUSED, ADMITTED, UNKNOWN, LATE = 0, 1, 2, 3
local REPEATED = 10
local OBSERVED, ONCE, SKIPPED = 1, 2, 4

local op, seed, fingerprint, keep = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local now, not_after, recipients, uncharged = struct.unpack('<I8I8I8I8', ARGV[5])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
if not_after > 0 and now > not_after then return {LATE, now} end

local raw = fingerprint ~= '' and redis.call('GET', KEYS[1])
local record = raw and cmsgpack.unpack(raw)
local start = string.sub(KEYS[1], 1, string.find(KEYS[1], '}:', 1, true) + 1)
local counters = {}

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
  local key, type = KEYS[number + 1], ARGV[4 + 2 * number]
  local cost, max, window, flags = struct.unpack('<I8I8I8I8', ARGV[5 + 2 * number])
  local state = counter(type).peek(key, now, window)
  local charge = {type = type, name = string.sub(key, #start + #type + 2), window = window, state = state,
                  cost = cost, max = max, flags = flags, used = state.used, moved = 0}
  if state.missing then
    local other = type == 'ring' and 'log' or 'ring'
    local held = counter(other).peek(start .. other .. ':' .. charge.name, now, window)
    if not held.missing then charge.used, charge.moved, charge.left = held.used, held.used, held.key end
  end
  return charge
end

local charges = {}
local function look()
  for number = 1, #KEYS - 1 do charges[number] = looked(number) end
end

-- Puts units on a counter and their receipt into the record.
local function put(receipts, charge, units)
  local grain, place = counter(charge.type).apply(charge.state, units + charge.moved)
  charge.used = charge.state.used
  if charge.left then redis.call('DEL', charge.left) end
  local receipt = receipts[charge.name]
  if not receipt then
    receipts[charge.name] = {charge.type, 0, grain, place, units}
    return
  end
  local last = #receipt
  receipt[1] = charge.type
  if last > 400 or last > 2 and receipt[last - 2] == grain and receipt[last - 1] == place then
    receipt[last] = receipt[last] + units
  else
    receipt[last + 1], receipt[last + 2], receipt[last + 3] = grain, place, units
  end
end

-- The reply; `unfit` says what there is to say of the charges that did not fit.
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

local function remember(fields, reply)
  if fingerprint == '' then return end
  fields.f, fields.a, fields.n = fingerprint, reply, #KEYS - 1
  redis.call('SET', KEYS[1], cmsgpack.pack(fields), 'PX', keep)
end

-- The first answer again. Had another configuration other limits then, what was admitted stays
-- admitted, and what was refused was never charged and is asked anew.
if record and record.f == fingerprint and (op == 'charge' or op == 'settle') then
  local reply, same = record.a, record.n == #KEYS - 1
  if same or reply[1] ~= REFUSED then
    redis.call('PEXPIRE', KEYS[1], keep)
    if not same then
      look()
      reply = answer(reply[1], {})
    end
    reply[1], reply[2] = reply[1] + REPEATED, now
    return reply
  end
end
