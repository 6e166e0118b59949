-- Hold on to the places of calls that are really up, also to such as had lapsed meanwhile.
-- KEYS  hash of what each call holds
-- ARGV  lease in ms, then the call ids in the order of KEYS
-- Returns {how many of the calls hold places, indexes of those of which nothing is known}. Which
-- counters those are is known only here, so their keys are not in KEYS: limits live on one Redis,
-- not on a cluster.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local held, unknown = 0, {}
for index, key in ipairs(KEYS) do
  local known = redis.call('HMGET', key, 'places', 'trunk_places', 'attempt', 'over')
  if known[1] or known[2] then
    held = held + 1
    for _, places in ipairs({known[1] or '[]', known[2] or '[]'}) do
      for _, counter in ipairs(cjson.decode(places)) do
        redis.call('ZADD', counter, now + ARGV[1], ARGV[index + 1])
        redis.call('PEXPIRE', counter, ARGV[1])
      end
    end
  elseif not known[3] and not known[4] then
    unknown[#unknown + 1] = index
  end
end
return {held, unknown}
