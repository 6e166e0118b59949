-- Take a live call's places and minutes again, of which Redis has lost its memory.
-- KEYS  hash of what the call holds, then one counter for each rule that applies to it now
-- ARGV  1 JSON object:
--   call, attempt   who is up, and in which attempt
--   lease, keep     ms for which a place is held, and for which the call is remembered
--   reply           what that attempt was answered
--   places, trunk_places   indexes into KEYS of its counters of calls
--   granted, minutes       ms of talk that it had been granted, and the rules (see slices.lua)
-- Returns 1, or 0 when something is known of the call after all.
local want = cjson.decode(ARGV[1])
local known = redis.call('HMGET', KEYS[1], 'attempt', 'over', 'granted')
if known[1] or known[2] then return 0 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function take(indexes)
  local keys = {}
  for _, index in ipairs(indexes) do
    redis.call('ZADD', KEYS[index], now + want.lease, want.call)
    redis.call('PEXPIRE', KEYS[index], want.lease)
    keys[#keys + 1] = KEYS[index]
  end
  return keys
end
redis.call('HSET', KEYS[1], 'attempt', want.attempt, 'reply', want.reply)
local places, trunk_places = take(want.places), take(want.trunk_places)
if #places > 0 then redis.call('HSET', KEYS[1], 'places', cjson.encode(places)) end
if #trunk_places > 0 then redis.call('HSET', KEYS[1], 'trunk_places', cjson.encode(trunk_places)) end
if #want.minutes > 0 and not known[3] then
  local counters = spend(want.minutes, want.granted, {})
  redis.call('HSET', KEYS[1], 'granted', want.granted, 'slices', cjson.encode(counters))
end
redis.call('PEXPIRE', KEYS[1], want.keep)
return 1
