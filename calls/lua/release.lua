-- Give a call's places back and add its talk to the minutes used, once.
-- KEYS  hash of what the call holds, hash of would-have-been refusals, then one counter for each
--       rule
-- ARGV  1 JSON object:
--   call, talk      who ends, and its talk in ms
--   places          indexes into KEYS of its counters of calls
--   minutes         {k: index into KEYS, warn: ms from which to warn (0 = never), keep: ms for
--                   which the counter is kept}
--   longer          stats of the observed limits that would have ended the call before
--   keep            ms for which the end is remembered
-- Returns {1 for each of `minutes` whose warning this talk has reached, else 0}, and the ms used
-- of each after it; {} when the call had been released before.
local want = cjson.decode(ARGV[1])
if redis.call('HEXISTS', KEYS[1], 'over') == 1 then return {} end
for _, index in ipairs(want.places) do redis.call('ZREM', KEYS[index], want.call) end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'over', 1)
redis.call('PEXPIRE', KEYS[1], want.keep)
for _, stat in ipairs(want.longer) do redis.call('HINCRBY', KEYS[2], stat, 1) end
local warned, used = {}, {}
for index, rule in ipairs(want.minutes) do
  local after = redis.call('INCRBY', KEYS[rule.k], want.talk)
  redis.call('PEXPIRE', KEYS[rule.k], rule.keep)
  local reached = rule.warn > 0 and after >= rule.warn and after - want.talk < rule.warn
  warned[index], used[index] = reached and 1 or 0, after
end
return {warned, used}
