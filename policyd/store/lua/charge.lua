-- charge: all counters or none, with the receipts in the record.
-- peek: what a charge would be answered; changes nothing.
--
-- The state of the account is a hash:
--   suspended:...             "end ref ..."; end is 0 until it is resumed
--   raise:<limit>             "max end": another maximum for a while
--   lock:<limit>:<subject>    "end ref": refused until then, whatever is tried meanwhile

local NEVER_FITS, AT_SLOT, HOUR = -1, 2, 3600000

local fields
local function field(number)
  if not fields then
    local at = 1
    fields = {}
    while at <= #ARGV[4] do fields[#fields + 1], at = struct.unpack('<I2c0', ARGV[4], at) end
  end
  return fields[number]
end

local stands = {}
if known > 0 and (known == 2 or redis.call('EXISTS', KEYS[2]) > 0) and field(1) then
  stands = redis.call('HMGET', KEYS[2], unpack(fields))
end

for number = 1, suspensions do
  local ends, ref = string.match(stands[number] or '', '^(%d+) (%w+)')
  if ends and (ends == '0' or tonumber(ends) > now) then return {SUSPENDED, now, number, tonumber(ends), ref} end
end

local admitted, unfit, lock = true, {}, suspensions + count
for number = 1, count do
  local charge = looked(number)
  charges[number] = charge
  local receipt, raise, fits_at = record and record.receipts[charge.name], stands[suspensions + number], nil
  if receipt and receipt[3] and has(charge.flags, ONCE) then charge.cost = 0 end
  if raise then
    local max, ends = string.match(raise, '^(%d+) (%d+)')
    if tonumber(ends) > now then
      charge.max = tonumber(max)
    elseif op == CHARGE then
      redis.call('HDEL', KEYS[2], field(suspensions + number))
    end
  end
  if charge.lock > 0 then
    lock = lock + 1
    charge.lock_field = field(lock)
    local ends = stands[lock] and tonumber(string.match(stands[lock], '^%d+'))
    if ends and ends > now then
      fits_at = ends
    elseif ends and op == CHARGE then
      redis.call('HDEL', KEYS[2], charge.lock_field)
    end
  end
  -- A pace looks at how far the first slot is away, however many are taken; a list at its own size.
  local own, asked = charge.state.need, charge.type == PACE and 0 or charge.cost
  local need = own and own(charge.max) or charge.used + asked - charge.max
  if need > 0 and not fits_at then
    if asked > charge.max and not own then
      fits_at = NEVER_FITS
    elseif charge.lock > 0 and not has(charge.flags, OBSERVED) then
      fits_at, charge.locks = now + charge.lock, true
    else
      fits_at = counter(charge.type).fits_at(charge.state, need)
    end
  end
  if fits_at and charge.cost > 0 then
    unfit[#unfit + 1] = {number, fits_at, '', 0}
    admitted = admitted and has(charge.flags, OBSERVED)
    -- What is only observed would run ever further ahead of its pace.
    if charge.type == PACE then charge.cost = 0 end
  end
end

-- Each charge that does not fit belongs to an episode, which goes on while something is refused at
-- least once in a window (in an hour, of a pace, and of a list: a mailing goes on so long), and as long
-- as a lock holds.
if unfit[1] then
  local function reference(key)
    local alphabet, digest, ref = '0123456789ABCDEFGHJKMNPQRSTVWXYZ', redis.sha1hex(ARGV[2] .. key .. now), ''
    for pair = 1, 20, 2 do
      local digit = tonumber(string.sub(digest, pair, pair + 1), 16) % 32 + 1
      ref = ref .. string.sub(alphabet, digit, digit)
    end
    return ref
  end

  local function announce(charge, fits_at, ref)
    local limit, subject = string.match(charge.name, '^([^:]*):(.*)$')
    local event = cjson.encode({at = now, event = 'refusal', ref = ref, limit = limit, subject = subject,
                                used = charge.used, max = charge.max, fits_at = fits_at,
                                observed = has(charge.flags, OBSERVED), paced = charge.type == PACE or nil})
    redis.call('LPUSH', start .. 'events', event)
    redis.call('LTRIM', start .. 'events', 0, 199)
    redis.call('PEXPIRE', start .. 'events', 30 * 86400000)
  end

  local function start_lock(charge, ends, ref)
    redis.call('HSET', KEYS[2], charge.lock_field, string.format('%.0f %s', ends, ref))
    if redis.call('PTTL', KEYS[2]) < charge.lock then redis.call('PEXPIRE', KEYS[2], charge.lock) end
  end

  for _, said in ipairs(unfit) do
    local charge, fits_at = charges[said[1]], said[2]
    local key = start .. 'episode:' .. charge.name
    local ref, ends = string.match(redis.call('GET', key) or '', '^(%w+) (%d+)$')
    local goes_on = ref and tonumber(ends) > now
    if op == CHARGE then
      if not goes_on then
        ref, said[4] = reference(key), 1
        announce(charge, fits_at, ref)
      end
      local hourly = charge.type == PACE or charge.type == SET
      local lasts = math.max(hourly and HOUR or charge.window, charge.lock > 0 and fits_at - now or 0)
      redis.call('SET', key, string.format('%s %.0f', ref, now + lasts), 'PX', lasts)
      if charge.locks then start_lock(charge, fits_at, ref) end
    end
    said[3] = (goes_on or op == CHARGE) and ref or ''
  end
end

if op == PEEK then return answer(admitted and ADMITTED or REFUSED, unfit) end

for _, charge in ipairs(admitted and {} or charges) do
  local note = counter(charge.type).note
  if note then note(charge.state, 0) end
end

local receipts = record and record.receipts or {}
if admitted then
  for number, charge in ipairs(charges) do
    if charge.cost > 0 then
      if charge.type == PACE and charge.used > 0 then unfit[#unfit + 1] = {number, now + charge.used, '', AT_SLOT} end
      put(receipts, charge, charge.cost)
    end
    if has(charge.flags, SKIPPED) then
      local receipt = receipts[charge.name] or {charge.type, 0}
      receipt[2], receipts[charge.name] = receipt[2] + 1, receipt
    end
  end
end
local reply = answer(admitted and ADMITTED or REFUSED, unfit)
if admitted or record then remember(receipts, reply, 0) end
return reply
