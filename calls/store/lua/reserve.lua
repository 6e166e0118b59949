-- Take a call's places among all its limits, and on the first trunk that has room: all or nothing.
-- KEYS  hash of what the call holds, hash of refusals, hash of would-have-been refusals,
--       hash of trunks that are not up, mark that places are kept, then one counter for each rule,
--       then one trial mark for each target
-- ARGV  1 JSON object:
--   call, attempt   who asks, and for which attempt (1, 2, ...): the same is answered the same
--   first           the attempt with which the call is let in: 1, or later in a call begun anew
--   strict          whether nothing may be let in while it is not known who holds places
--   lease, keep     ms for which a place is held, and for which the call is remembered
--   brief           ms for which a call that holds nothing is remembered
--   trial           ms between two trial calls of a trunk that is down
--   most, least, share, longest   of a slice of minutes: ms, ms, part of the rest, ms
--   rules           of the call: {k: index into KEYS, m: metric, v: value, e: enforced, s: stat,
--                   n: name, and of minutes warn and keep}
--   targets         in order: {name, rules, mark: index into KEYS, well: whether set up by hand}
-- Returns a JSON object:
--   over      true when the call has given its places back already
--   unkept    true when who holds places is not known: take them again for all, then ask again
--   refused   name of the call's rule that refuses it; else
--   trunk     name of the trunk taken ('' = none has room)
--   skipped   {name of the trunk, why, name of its rule or ''} for each trunk skipped before
--   talk, by  ms of talk that the call may spend, and the limit of minutes with the least left
--   warned    {name, ms} of minutes that have reached their warning by this
-- Names, not places in the question: a worker that asks again may see another configuration.
local want = cjson.decode(ARGV[1])
local held = redis.call('HMGET', KEYS[1], 'over', 'attempt', 'reply', 'trunk_places')
if held[1] then return '{"over":true}' end

local earlier = held[3] and cjson.decode(held[3]) or {}
local has_trunk = (earlier.trunk or '') ~= ''

-- Whether the earlier answer still fits the question.
local function still_fits()
  if not held[2] or tonumber(held[2]) < want.attempt then return false end
  if tonumber(held[2]) > want.attempt or earlier.refused then return true end
  local skipped = {}
  for _, skip in ipairs(earlier.skipped or {}) do skipped[skip[1]] = true end
  for _, target in ipairs(want.targets) do
    if target.name == earlier.trunk then return true end
    if not has_trunk and not skipped[target.name] then return false end
  end
  return not has_trunk
end
if still_fits() then return held[3] end
if want.strict and redis.call('EXISTS', KEYS[5]) == 0 then return '{"unkept":true}' end

local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
local now = math.floor(now_us / 1000)

-- What lies in the future was noted by a clock that went back since.
local function is_over(rule)
  local key = KEYS[rule.k]
  if rule.m == 'concurrent' then
    redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
    for _, call in ipairs(redis.call('ZRANGEBYSCORE', key, '(' .. now + want.lease, '+inf')) do
      redis.call('ZADD', key, now + want.lease, call)
    end
    return not redis.call('ZSCORE', key, want.call) and redis.call('ZCARD', key) >= rule.v
  elseif rule.m == 'cps' then
    local nth = tonumber(redis.call('LINDEX', key, rule.v - 1) or 0)
    return nth <= now_us and now_us - nth < 1000000
  elseif rule.m == 'minutes' then
    return tonumber(redis.call('GET', key) or 0) >= rule.v * 60000
  end
  return false
end

-- The first enforced rule that refuses; what is only observed is noted, and not charged.
local function refuses(rules)
  local first = nil
  for _, rule in ipairs(rules) do
    rule.full = is_over(rule)
    if rule.full and rule.e and not first then first = rule end
  end
  return first
end

local function note_observed(rules)
  for _, rule in ipairs(rules) do
    if rule.full and not rule.e then redis.call('HINCRBY', KEYS[3], rule.s, 1) end
  end
end

-- Returns the counters of calls in which the call stands now.
local function take_places(rules)
  local places = {}
  for _, rule in ipairs(rules) do
    if rule.m == 'concurrent' then
      redis.call('ZADD', KEYS[rule.k], now + want.lease, want.call)
      redis.call('PEXPIRE', KEYS[rule.k], want.lease)
      places[#places + 1] = KEYS[rule.k]
    end
  end
  return places
end

local function take_second(rules)
  for _, rule in ipairs(rules) do
    if rule.m == 'cps' and not rule.full then
      redis.call('LPUSH', KEYS[rule.k], string.format('%.0f', now_us))
      redis.call('LTRIM', KEYS[rule.k], 0, rule.v - 1)
      redis.call('PEXPIRE', KEYS[rule.k], 1000)
    end
  end
end

local warned = {}
local function answer(reply, keep)
  local text = cjson.encode(reply)
  redis.call('HSET', KEYS[1], 'attempt', want.attempt, 'reply', text)
  redis.call('PEXPIRE', KEYS[1], keep)
  if #warned == 0 then return text end
  reply.warned = warned
  return cjson.encode(reply)
end

local function is_resting(target)
  local state = not target.well and redis.call('HGET', KEYS[4], target.name)
  if not state or string.sub(state, 1, 4) ~= 'down' then return false, false end
  local last = tonumber(redis.call('GET', KEYS[target.mark]) or 0)
  return true, last <= now and now - last < want.trial
end

if held[4] then
  for _, key in ipairs(cjson.decode(held[4])) do redis.call('ZREM', key, want.call) end
end
-- A call that was let in once keeps its own places while it hunts on, and is charged no more.
local begins = want.attempt == want.first and not has_trunk
if begins then
  local refusing = refuses(want.rules)
  if refusing then
    note_observed(want.rules)
    redis.call('HINCRBY', KEYS[2], refusing.s, 1)
    return answer({refused = refusing.n}, want.brief)
  end
end

local taken, skipped, trunk_places = '', {}, {}
for _, target in ipairs(want.targets) do
  local down, resting = is_resting(target)
  if resting then
    skipped[#skipped + 1] = {target.name, 'down', ''}
  else
    local full = refuses(target.rules)
    note_observed(target.rules)
    if full then
      redis.call('HINCRBY', KEYS[2], full.s, 1)
      skipped[#skipped + 1] = {target.name, full.m == 'cps' and 'cps' or 'full', full.n}
    else
      if down then redis.call('SET', KEYS[target.mark], now, 'PX', want.trial) end
      taken = target.name
      trunk_places = take_places(target.rules)
      take_second(target.rules)
      break
    end
  end
end

if begins and taken == '' then return answer({trunk = '', skipped = skipped}, want.brief) end
if begins then
  note_observed(want.rules)
  take_second(want.rules)
end
local places = take_places(want.rules)
local spent = redis.call('HMGET', KEYS[1], 'granted', 'by')
if begins and not spent[1] then
  local ms, by = next_slice(want.rules, want)
  if ms then
    local counters = spend(want.rules, ms, warned)
    redis.call('HSET', KEYS[1], 'granted', ms, 'by', by, 'slices', cjson.encode(counters))
    spent = {ms, by}
  end
end
redis.call('HDEL', KEYS[1], 'places', 'trunk_places')
if #places > 0 then redis.call('HSET', KEYS[1], 'places', cjson.encode(places)) end
if #trunk_places > 0 then redis.call('HSET', KEYS[1], 'trunk_places', cjson.encode(trunk_places)) end
local reply = {trunk = taken, skipped = skipped}
if spent[1] then reply.talk, reply.by = tonumber(spent[1]), spent[2] end
local holds = #places > 0 or #trunk_places > 0 or spent[1]
return answer(reply, holds and want.keep or want.brief)
