-- charge: all counters or none, with the receipts in the record. Each charge that does not fit
-- belongs to an episode, which goes on while something is refused at least once in a window.
-- peek: what a charge would be answered; changes nothing.

local NEVER_FITS = -1

look()
local admitted, unfit = true, {}
for number, charge in ipairs(charges) do
  local receipt = record and record.r[charge.name]
  if receipt and #receipt > 2 and has(charge.flags, ONCE) then charge.cost = 0 end
  local need = charge.used + charge.cost - charge.max
  if charge.cost > 0 and need > 0 then
    local fits_at = charge.cost > charge.max and NEVER_FITS or charge.state:fits_at(need)
    unfit[#unfit + 1] = {number, fits_at, '', 0}
    admitted = admitted and has(charge.flags, OBSERVED)
  end
end

if unfit[1] then
  local function reference(key)
    local alphabet, digest, ref = '0123456789ABCDEFGHJKMNPQRSTVWXYZ', redis.sha1hex(seed .. key .. now), ''
    for at = 1, 20, 2 do
      local digit = tonumber(string.sub(digest, at, at + 1), 16) % 32 + 1
      ref = ref .. string.sub(alphabet, digit, digit)
    end
    return ref
  end

  local function announce(charge, fits_at, ref)
    local limit, subject = string.match(charge.name, '^([^:]*):(.*)$')
    local event = cjson.encode({at = now, event = 'refusal', ref = ref, limit = limit, subject = subject,
                                used = charge.used, max = charge.max, fits_at = fits_at,
                                observed = has(charge.flags, OBSERVED)})
    redis.call('LPUSH', start .. 'events', event)
    redis.call('LTRIM', start .. 'events', 0, 199)
    redis.call('PEXPIRE', start .. 'events', 30 * 86400000)
  end

  for _, said in ipairs(unfit) do
    local charge = charges[said[1]]
    local key = start .. 'episode:' .. charge.name
    local ref, ends = string.match(redis.call('GET', key) or '', '^(%w+) (%d+)$')
    local goes_on = ref and tonumber(ends) > now
    if op == 'charge' then
      if not goes_on then
        ref, said[4] = reference(key), 1
        announce(charge, said[2], ref)
      end
      redis.call('SET', key, ref .. ' ' .. now + charge.window, 'PX', charge.window)
    end
    said[3] = (goes_on or op == 'charge') and ref or ''
  end
end

if op == 'peek' then return answer(admitted and ADMITTED or REFUSED, unfit) end

local fields = record or {f = '', a = '', n = 0, r = {}}
if admitted then
  for _, charge in ipairs(charges) do
    if charge.cost > 0 then put(fields.r, charge, charge.cost) end
    if has(charge.flags, SKIPPED) then
      local receipt = fields.r[charge.name] or {charge.type, 0}
      receipt[2], fields.r[charge.name] = receipt[2] + 1, receipt
    end
  end
end
local reply = answer(admitted and ADMITTED or REFUSED, unfit)
if admitted or record then remember(fields, reply) end
return reply
