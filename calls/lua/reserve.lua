-- Take a call's places among all its limits, and on the first trunk that has room: all or nothing.
-- KEYS  hash of what the call holds, hash of refusals, hash of would-have-been refusals,
--       hash of trunks that are not up, then one counter for each rule, then one trial mark for
--       each target
-- ARGV  1 JSON object:
--   call, attempt   who asks, and for which attempt (1, 2, ...): the same is answered the same
--   lease, keep     ms for which a place is held, and for which the call is remembered
--   brief           ms for which a call that holds nothing is remembered
--   trial           ms between two trial calls of a trunk that is down
--   rules           of the call: {k: index into KEYS, m: metric, v: value, e: enforced, s: stat}
--   back            indexes into KEYS of the counters of the trunk that was tried before
--   targets         in order: {name, rules, mark: index into KEYS, well: whether set up by hand}
-- Returns a JSON object:
--   over      true when the call has given its places back already
--   refused   index of the call's rule that refuses it (from 1)
--   taken     index of the target taken (from 1, 0 = none), when no rule refuses
--   skipped   {index of target, why, index of its rule or 0} for each target skipped before
--   left, by  ms of talk left of the enforced minutes, and the rule with the least; -1 = no limit
local want = cjson.decode(ARGV[1])
local held = redis.call('HMGET', KEYS[1], 'over', 'attempt', 'reply')
if held[1] then return '{"over":true}' end
if held[2] and tonumber(held[2]) >= want.attempt then return held[3] end

local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
local now = math.floor(now_us / 1000)

local function is_over(rule)
  local key = KEYS[rule.k]
  if rule.m == 'concurrent' then
    redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
    return not redis.call('ZSCORE', key, want.call) and redis.call('ZCARD', key) >= rule.v
  elseif rule.m == 'cps' then
    local nth = redis.call('LINDEX', key, rule.v - 1)
    return nth and now_us - tonumber(nth) < 1000000
  elseif rule.m == 'minutes' then
    return tonumber(redis.call('GET', key) or 0) >= rule.v * 60000
  end
  return false
end

-- The first enforced rule that refuses; what is only observed is noted, and not charged.
local function refuses(rules)
  local first = nil
  for index, rule in ipairs(rules) do
    rule.full = is_over(rule)
    if rule.full and rule.e and not first then first = index end
  end
  return first
end

local function note_observed(rules)
  for _, rule in ipairs(rules) do
    if rule.full and not rule.e then redis.call('HINCRBY', KEYS[3], rule.s, 1) end
  end
end

local places = {}
local function take(rules)
  note_observed(rules)
  for _, rule in ipairs(rules) do
    local key = KEYS[rule.k]
    if rule.m == 'concurrent' then
      redis.call('ZADD', key, now + want.lease, want.call)
      redis.call('PEXPIRE', key, want.lease)
      places[#places + 1] = key
    elseif rule.m == 'cps' and not rule.full then
      redis.call('LPUSH', key, string.format('%.0f', now_us))
      redis.call('LTRIM', key, 0, rule.v - 1)
      redis.call('PEXPIRE', key, 1000)
    end
  end
end

local function answer(reply, keep)
  local text = cjson.encode(reply)
  redis.call('HSET', KEYS[1], 'attempt', want.attempt, 'reply', text)
  if #places > 0 then redis.call('HSET', KEYS[1], 'places', cjson.encode(places)) end
  redis.call('PEXPIRE', KEYS[1], keep)
  return text
end

for _, index in ipairs(want.back) do redis.call('ZREM', KEYS[index], want.call) end
local first_attempt = want.attempt == 1
if first_attempt then
  local refused = refuses(want.rules)
  if refused then
    note_observed(want.rules)
    redis.call('HINCRBY', KEYS[2], want.rules[refused].s, 1)
    return answer({refused = refused}, want.brief)
  end
end

local taken, skipped = 0, {}
for index, target in ipairs(want.targets) do
  local down = not target.well and redis.call('HEXISTS', KEYS[4], target.name) == 1
      and string.sub(redis.call('HGET', KEYS[4], target.name), 1, 4) == 'down'
  if down and redis.call('EXISTS', KEYS[target.mark]) == 1 then
    skipped[#skipped + 1] = {index, 'down', 0}
  else
    local full = refuses(target.rules)
    if full then
      note_observed(target.rules)
      redis.call('HINCRBY', KEYS[2], target.rules[full].s, 1)
      skipped[#skipped + 1] = {index, target.rules[full].m == 'cps' and 'cps' or 'full', full}
    else
      if down then redis.call('SET', KEYS[target.mark], 1, 'PX', want.trial) end
      taken = index
      take(target.rules)
      break
    end
  end
end

local left, by = -1, 0
if taken > 0 and first_attempt then
  take(want.rules)
elseif not first_attempt then
  -- Its places among the call's own limits are kept while it hunts on.
  for _, rule in ipairs(want.rules) do
    if rule.m == 'concurrent' then
      redis.call('ZADD', KEYS[rule.k], now + want.lease, want.call)
      redis.call('PEXPIRE', KEYS[rule.k], want.lease)
      places[#places + 1] = KEYS[rule.k]
    end
  end
  if #places == 0 then redis.call('HDEL', KEYS[1], 'places') end
end
for index, rule in ipairs(want.rules) do
  if rule.m == 'minutes' and rule.e then
    local rest = math.max(0, rule.v * 60000 - tonumber(redis.call('GET', KEYS[rule.k]) or 0))
    if left < 0 or rest < left then left, by = rest, index end
  end
end
local keep = #places > 0 and want.keep or want.brief
return answer({taken = taken, skipped = skipped, left = left, by = by}, keep)
