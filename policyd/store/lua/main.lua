-- The one script: checks all counters of a request and charges all of them or none.
--
-- KEYS: the message record, then one counter for each charge; all on one hash slot.
-- ARGV: op, now (0: the time of Redis), not_after (0: never too late), seed of references,
--       fingerprint, keep (ms the record lives), recipients (settle), uncharged, then for each
--       charge: type, cost, max, window, flags.
-- Reply: code (10 more when it repeats an answer), now, then used and max for each charge, then for each charge that did not fit:
--       its number, fits_at, ref, 1 if the episode started now.
--
-- A record is a msgpack map: f fingerprint and a answer of the last request, s settled,
-- r receipts by counter: {type, skipped, grain, place, units, grain, place, units ...}.
-- Readers ignore what they do not know; within format 1 fields are only added.

local REFUSED, ADMITTED, UNKNOWN, LATE = 0, 1, 2, 3
local REPEATED = 10
local OBSERVED, ONCE, SKIPPED = 1, 2, 4
local NEVER_FITS = -1
local FIRST, FIELDS = 9, 5
local MONTH = 2592000000

local op, fingerprint, keep = ARGV[1], ARGV[5], ARGV[6]
local now = tonumber(ARGV[2])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local not_after = tonumber(ARGV[3])
if not_after > 0 and now > not_after then return {LATE, now} end

local values = redis.call('MGET', unpack(KEYS))
local record = values[1] and cmsgpack.unpack(values[1])

local function has(flags, flag)
  return flags % (flag * 2) >= flag
end

-- `policyd:1:{account}:` and `limit:subject` of a counter's key.
local function split(key)
  return string.match(key, '^([^}]*}:)[^:]*:(.*)$')
end

-- The name of a counter in a record: its key without the part that the record's key has too.
local function name(key)
  return string.match(key, '}:(.*)$')
end

-- A limit whose max crossed the border between the types goes on with what the other type holds.
local function carried(type, key, window)
  local other = type == 'ring' and 'log' or 'ring'
  local start, rest = split(key)
  local raw = redis.call('GET', start .. other .. ':' .. rest)
  return raw and types[other].peek(raw, now, window, 0).used or 0
end

local function loaded()
  local charges = {}
  for number = 2, #KEYS do
    local at = FIRST + (number - 2) * FIELDS
    local charge = {key = KEYS[number], type = ARGV[at], cost = tonumber(ARGV[at + 1]), max = tonumber(ARGV[at + 2]),
                    window = tonumber(ARGV[at + 3]), flags = tonumber(ARGV[at + 4]), name = name(KEYS[number])}
    local raw = values[number]
    charge.moved = not raw and carried(charge.type, charge.key, charge.window) or 0
    charge.state = types[charge.type].peek(raw, now, charge.window, charge.moved)
    charges[number - 1] = charge
  end
  return charges
end

local function put(receipts, charge, units)
  local counter = types[charge.type]
  local grain, place = counter.apply(charge.key, charge.state, units, charge.window)
  if charge.moved > 0 then
    local start, rest = split(charge.key)
    redis.call('DEL', start .. (charge.type == 'ring' and 'log' or 'ring') .. ':' .. rest)
    charge.moved = 0
  end
  local receipt = receipts[charge.name] or {charge.type, 0}
  receipts[charge.name] = receipt
  local last = #receipt
  if last > 2 and receipt[last - 2] == grain and receipt[last - 1] == place then
    receipt[last] = receipt[last] + units
  else
    receipt[last + 1], receipt[last + 2], receipt[last + 3] = grain, place, units
  end
end

-- Takes up to `units` back, the oldest first: what stays counts for longer, never for shorter.
local function take_back(key, receipt, units)
  for at = 3, #receipt, 3 do
    local some = math.min(units, receipt[at + 2])
    if some > 0 then types[receipt[1]].undo(key, receipt[at], receipt[at + 1], some) end
    units = units - some
  end
end

local function sum(receipt)
  local total = 0
  for at = 5, #receipt, 3 do total = total + receipt[at] end
  return total
end

local function reference(key)
  local alphabet, digest, text = '0123456789ABCDEFGHJKMNPQRSTVWXYZ', redis.sha1hex(ARGV[4] .. key .. now), ''
  for at = 1, 20, 2 do
    local digit = tonumber(string.sub(digest, at, at + 1), 16) % 32 + 1
    text = text .. string.sub(alphabet, digit, digit)
  end
  return text
end

-- The episode goes on while something is refused at least once in a window.
local function episode(charge, fits_at)
  local start, rest = split(charge.key)
  local key = start .. 'episode:' .. rest
  local ref = redis.call('GET', key)
  if ref then
    redis.call('PEXPIRE', key, charge.window)
    return ref, 0
  end
  ref = reference(key)
  redis.call('SET', key, ref, 'PX', charge.window)
  local limit, subject = string.match(rest, '^([^:]*):(.*)$')
  local observed = has(charge.flags, OBSERVED)
  local event = cjson.encode({at = now, event = 'refusal', ref = ref, limit = limit, subject = subject,
                              used = charge.state.used, max = charge.max, fits_at = fits_at, observed = observed})
  redis.call('LPUSH', start .. 'events', event)
  redis.call('LTRIM', start .. 'events', 0, 199)
  redis.call('PEXPIRE', start .. 'events', MONTH)
  return ref, 1
end

-- Whether all charges fit, and what is said of those that do not.
local function checked(charges)
  local admitted, tail = true, {}
  for number, charge in ipairs(charges) do
    local receipt = record and record.r and record.r[charge.name]
    if has(charge.flags, ONCE) and receipt and #receipt > 2 then charge.cost = 0 end
    local need = charge.state.used + charge.cost - charge.max
    if charge.cost > 0 and need > 0 then
      local fits_at = charge.cost > charge.max and NEVER_FITS or charge.state:fits_at(need)
      tail[#tail + 1] = {number, fits_at}
      admitted = admitted and has(charge.flags, OBSERVED)
    end
  end
  return admitted, tail
end

local function answer(code, charges, tail)
  local reply = {code, now}
  for _, charge in ipairs(charges) do
    reply[#reply + 1], reply[#reply + 2] = charge.state.used, charge.max
  end
  for _, unfit in ipairs(tail) do
    for _, value in ipairs(unfit) do reply[#reply + 1] = value end
  end
  return reply
end

local function remember(reply, fields)
  if fingerprint == '' then return end
  fields.f, fields.a = fingerprint, reply
  redis.call('SET', KEYS[1], cmsgpack.pack(fields), 'PX', keep)
end

local function charge_all()
  local charges = loaded()
  local admitted, tail = checked(charges)
  for _, unfit in ipairs(tail) do
    unfit[3], unfit[4] = episode(charges[unfit[1]], unfit[2])
  end
  local fields = record or {r = {}}
  if admitted then
    for _, charge in ipairs(charges) do
      if charge.cost > 0 then put(fields.r, charge, charge.cost) end
      if has(charge.flags, SKIPPED) then
        local receipt = fields.r[charge.name] or {charge.type, 0}
        receipt[2], fields.r[charge.name] = receipt[2] + 1, receipt
      end
    end
  end
  local reply = answer(admitted and ADMITTED or REFUSED, charges, tail)
  if admitted or record then remember(reply, fields) end
  return reply
end

-- How many units a settled message has on one limit. The limits that looked at none of its
-- recipients keep out, unless nothing is known of the message.
local function target(charge, receipt)
  if record and not receipt then return 0 end
  local counted = tonumber(ARGV[7]) - tonumber(ARGV[8]) - (receipt and receipt[2] or 0)
  if counted <= 0 then return 0 end
  return has(charge.flags, ONCE) and charge.cost or counted
end

local function settle_all()
  local charges = loaded()
  for _, charge in ipairs(charges) do
    local receipt = record and record.r[charge.name]
    local missing = target(charge, receipt) - (receipt and sum(receipt) or 0)
    if missing > 0 then
      put({}, charge, missing)
    elseif missing < 0 then
      take_back(charge.key, receipt, -missing)
      charge.state.used = charge.state.used + missing
    end
  end
  local reply = answer(record and ADMITTED or UNKNOWN, charges, {})
  remember(reply, {s = 1})
  return reply
end

local function give_back()
  if not record or record.s or record.f ~= fingerprint then return {REFUSED, now} end
  local start = string.match(KEYS[1], '^([^}]*}:)')
  for counter, receipt in pairs(record.r) do
    take_back(start .. counter, receipt, sum(receipt))
  end
  redis.call('DEL', KEYS[1])
  return {ADMITTED, now}
end

if op == 'give-back' then return give_back() end
if op == 'peek' then
  local charges = loaded()
  local _, tail = checked(charges)
  for _, unfit in ipairs(tail) do
    local start, rest = split(charges[unfit[1]].key)
    unfit[3], unfit[4] = redis.call('GET', start .. 'episode:' .. rest) or '', 0
  end
  return answer(ADMITTED, charges, tail)
end
if record and record.f == fingerprint then
  redis.call('PEXPIRE', KEYS[1], keep)
  record.a[1] = record.a[1] + REPEATED
  return record.a
end
if op == 'settle' then return settle_all() end
return charge_all()
