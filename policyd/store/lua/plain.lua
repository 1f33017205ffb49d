-- plain: the way of most calls, which is that of charge.lua with little made for it: somebody against
-- whom nothing stands sends a message to its first recipient, and all counters are rings that have room.
-- What is otherwise goes on to the rest, and nothing was written then.

if op == CHARGE and known == 0 and fingerprint ~= '' then
  local rings, fits = {}, count > 0
  local reply, values = {ADMITTED, now, 0, 0}, {fingerprint, 0, count, 2 * count + 2, ADMITTED, now}
  for number = 1, count do
    local key = KEYS[KEYS_BEFORE + number]
    local type, flags, cost, max, window = struct.unpack('<I1I1I8I8I8', ARGV[ARGV_BEFORE + number])
    fits = type == RING and flags < SKIPPED and cost > 0
    if not fits then break end
    local width, slot, used, current, from, cells, missing = slots(key, now, window)
    local name = string.sub(key, #start + #'ring:' + 1)
    used = used + cost
    fits = used <= max and not (missing and redis.call('EXISTS', start .. 'log:' .. name) > 0)
    if not fits then break end
    rings[number] = {key, name, cost, width, slot, used, current + cost, from, cells}
    local at = 2 * number
    reply[at + 1], reply[at + 2] = used, max
    values[at + 5], values[at + 6] = used, max
  end
  if fits then
    local last = 2 * count + 6
    for number = 1, count do
      local key, name, cost, width, slot, used, current, from, cells = unpack(rings[number], 1, 9)
      write_slots(key, now, width, slot, used, current, from, cells)
      values[last + 1], values[last + 2], values[last + 3], values[last + 4] = name, 5, RING, 0
      values[last + 5], values[last + 6], values[last + 7] = width, slot, cost
      last = last + 7
    end
    redis.call('SET', KEYS[1], cmsgpack.pack(unpack(values)), 'PX', keep)
    return reply
  end
end
