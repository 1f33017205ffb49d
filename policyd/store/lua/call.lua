-- The one script: checks all counters of a request and charges all of them or none. This file has
-- what a call says. Most calls go no further than plain.lua. What the operations share is in main.lua;
-- they are in charge.lua and settle.lua, the message record is in record.lua, and each counter type is
-- a file.
--
-- KEYS: the message record, the state of the account, then one counter for each charge; all on one
--       hash slot. In a cluster one more, `absent`, which never exists: while a slot moves from node
--       to node, Redis runs nothing that declares a missing key beside others, and so no call meets
--       half of the keys.
-- ARGV: numbers {op, now (0: the time of Redis), not_after (0: never too late), keep (ms the record
--       lives), recipients, uncharged, suspensions}, seed of references, fingerprint ("": there is
--       no record), the fields of the state that matter, then for each charge its numbers {type, flags,
--       cost, max, window, lock}. The fields stand in one string, each behind its length: so many
--       suspensions, one raise for each charge, one lock for each charge that has one. op, type, flags
--       and suspensions are one byte, a length is two, all other numbers eight. Behind a charge's
--       numbers stands what only its type knows.
-- Reply: code (10 more when it repeats an answer), now, then used and max for each charge, then for
--       each charge that did not fit: its number, fits_at, ref, 1 if the episode started now; and for
--       each that fits at the slot of its pace, which is to come: its number, the slot, no ref, 2.
--       Of who is suspended: SUSPENDED, now, the number of the suspension, its end (0: when it is
--       resumed), its ref.
--
-- Whatever is made is made at every call, so the way of most calls makes little.

local REFUSED, ADMITTED, UNKNOWN, LATE, SUSPENDED = 0, 1, 2, 3, 4
local REPEATED = 10
local CHARGE, SETTLE, GIVE_BACK, PEEK = 1, 2, 3, 4
local OBSERVED, ONCE, SKIPPED = 1, 2, 4
local KEYS_BEFORE, ARGV_BEFORE = 2, 4 -- the charges

local op, now, not_after, keep, recipients, uncharged, suspensions = struct.unpack('<I1I8I8I8I8I8I1', ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
if not_after > 0 and now > not_after then return {LATE, now} end

local fingerprint, count = ARGV[3], #ARGV - ARGV_BEFORE
local start = string.sub(KEYS[2], 1, -1 - #'state')
-- How many of the two are there: the record of the message, and what stands against the account.
local known = (op == CHARGE or op == PEEK) and redis.call('EXISTS', KEYS[1], KEYS[2]) or 1
