-- Spend the next slice of a call's minutes. Asked again for the same, it answers the same.
-- KEYS  hash of what the call holds, then one counter for each enforced limit of minutes
-- ARGV  1 JSON object: call; have: ms the asker knows to be granted; keep: ms for which the call is
--       remembered; most, least, share, longest: of a slice; rules (see slices.lua)
-- Returns a JSON object: over; or talk: ms granted in all, by: the limit with the least left, and
-- warned. As much as it had: nothing is left.
local want = cjson.decode(ARGV[1])
local held = redis.call('HMGET', KEYS[1], 'over', 'granted', 'by')
if held[1] then return '{"over":true}' end
local granted, warned = tonumber(held[2] or -1), {}
if granted > want.have then return cjson.encode({talk = granted, by = held[3]}) end
-- Redis has lost what was spent, and this call's part of the counters with it.
if granted < want.have then spend(want.rules, want.have - math.max(granted, 0), warned) end
local ms, by = next_slice(want.rules, want)
local counters = spend(want.rules, ms, warned)
redis.call('HSET', KEYS[1], 'granted', want.have + ms, 'by', by, 'slices', cjson.encode(counters))
redis.call('PEXPIRE', KEYS[1], want.keep)
return cjson.encode({talk = want.have + ms, by = by, warned = warned})
