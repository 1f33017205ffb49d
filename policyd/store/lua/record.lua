-- The message record: the last request with its answer, and what each limit was charged (receipts).
--
-- Values in msgpack, one after the other: fingerprint, 1 if it is settled, number of charges, length
-- of the answer, the answer as it was replied; then each receipt: its name, its length, and type,
-- skipped, and grain, place, units for each place that was charged. Within format 1 only receipts are
-- added.

-- Keeps a reply as the answer to the last request.
local function remember(receipts, reply, settled)
  if fingerprint == '' then return end
  local values = {fingerprint, settled, count, #reply, unpack(reply)}
  for name, receipt in pairs(receipts) do
    local last = #values
    values[last + 1], values[last + 2] = name, #receipt
    for at, value in ipairs(receipt) do values[last + 2 + at] = value end
  end
  redis.call('SET', KEYS[1], cmsgpack.pack(unpack(values)), 'PX', keep)
end

local raw = known > 0 and fingerprint ~= '' and redis.call('GET', KEYS[1])
local record
if raw then
  local values = {cmsgpack.unpack(raw)}
  local last = 4 + values[4]
  -- The first answer again. Had another configuration other limits then, what was admitted stays
  -- admitted, and what was refused was never charged and is asked anew.
  local same = values[3] == count
  if values[1] == fingerprint and op ~= GIVE_BACK and (same or values[5] ~= REFUSED) then
    redis.call('PEXPIRE', KEYS[1], keep)
    local reply
    if same then
      reply = {unpack(values, 5, last)}
    else
      for number = 1, count do charges[number] = looked(number) end
      reply = answer(values[5], {})
    end
    reply[1], reply[2] = reply[1] + REPEATED, now
    return reply
  end
  record = {fingerprint = values[1], settled = values[2] == 1, receipts = {}}
  while last < #values do
    local name, length = values[last + 1], values[last + 2]
    record.receipts[name] = {unpack(values, last + 3, last + 2 + length)}
    last = last + 2 + length
  end
end
