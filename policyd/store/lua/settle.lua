-- settle: replaces the receipts of a message so that they sum to its recipients. Never refuses:
-- what is missing is charged past any max, what is too much is taken back.
-- give back: undoes all of them, unless the message was settled or heard of since.

-- Takes up to `units` back, the oldest first: what stays counts for longer, never for shorter.
local function take_back(name, receipt, units)
  local type = receipt[1]
  for at = 3, #receipt, 3 do
    local some = math.min(units, receipt[at + 2])
    if some > 0 then counter(type).undo(start .. names[type] .. ':' .. name, receipt[at], receipt[at + 1], some) end
    units = units - some
  end
end

local function sum(receipt)
  local total = 0
  for at = 5, #receipt, 3 do total = total + receipt[at] end
  return total
end

if op == GIVE_BACK then
  if not record or record.settled or record.fingerprint ~= fingerprint then return {REFUSED, now} end
  for name, receipt in pairs(record.receipts) do take_back(name, receipt, sum(receipt)) end
  redis.call('DEL', KEYS[1])
  return {ADMITTED, now}
end

-- How many units the message has on one limit in the end, of which it holds some. Limits that
-- looked at none of its recipients keep out, unless nothing is known of the message. Postfix's count
-- does not say whom it refused after us: those who cost nothing make nobody else free. The slots of a
-- pace are past by then.
local function target(charge, receipt, held)
  if charge.type == PACE then return held end
  if record and not receipt or has(charge.flags, SKIPPED) then return 0 end
  local counted = recipients - uncharged - (receipt and receipt[2] or 0)
  counted = math.max(counted, math.min(held, recipients))
  if counted <= 0 then return 0 end
  return has(charge.flags, ONCE) and charge.cost or counted
end

for number = 1, count do
  local charge = looked(number)
  local receipt = record and record.receipts[charge.name]
  local held = receipt and sum(receipt) or 0
  local missing = target(charge, receipt, held) - held
  if missing > 0 then
    put({}, charge, missing)
  elseif missing < 0 then
    take_back(charge.name, receipt, -missing)
    charge = looked(number)
  end
  charges[number] = charge
end
local reply = answer(record and ADMITTED or UNKNOWN, {})
remember({}, reply, 1)
return reply
