-- Give a call's places and unspent minutes back and add its talk to the minutes used, once.
-- KEYS  hash of what the call holds, hash of would-have-been refusals, then one counter for each
--       rule
-- ARGV  1 JSON object:
--   call, talk      who ends, and its talk in ms
--   places          indexes into KEYS of its counters of calls
--   minutes         its rules of minutes (see slices.lua)
--   longer          stats of the observed limits that would have ended the call before
--   keep            ms for which the end is remembered
-- Returns a JSON array of {name, ms used} of the minutes that have reached their warning by this.
-- What the call holds is given back too where the session does not know of it: the worker that
-- asked for it may have died and its rules with it. The end is noted even where nothing is known of
-- the call: that worker may only have been frozen, and ask now for minutes that nobody gives back.
local want = cjson.decode(ARGV[1])
local held = redis.call('HMGET', KEYS[1], 'over', 'places', 'trunk_places', 'granted', 'slices')
if held[1] then return '[]' end
for _, index in ipairs(want.places) do redis.call('ZREM', KEYS[index], want.call) end
for _, places in ipairs({held[2] or '[]', held[3] or '[]'}) do
  for _, key in ipairs(cjson.decode(places)) do redis.call('ZREM', key, want.call) end
end
if held[4] and held[5] then
  for _, key in ipairs(cjson.decode(held[5])) do redis.call('DECRBY', key, held[4]) end
end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'over', 1)
redis.call('PEXPIRE', KEYS[1], want.keep)
for _, stat in ipairs(want.longer) do redis.call('HINCRBY', KEYS[2], stat, 1) end
local warned = {}
for _, rule in ipairs(want.minutes) do add_minutes(rule, want.talk, warned) end
return cjson.encode(warned)
