-- Comes before the scripts that spend minutes of talk: what is talked is spent in slices, in advance.
-- A rule of minutes is {k: index into KEYS of its counter, v: minutes, e: enforced, n: name,
-- warn: ms from which to warn (0 = never), keep: ms for which the counter is kept, x: index into KEYS
-- of the outbox of webhooks and most: about how many may wait there, where somebody is told}. The mark that
-- the warning was said is not in KEYS, as its name follows from the counter's.

-- The ms of the next slice, and the name of the limit with the least left; nil without any limit.
local function next_slice(rules, want)
  local rest, by = nil, nil
  for _, rule in ipairs(rules) do
    if rule.m == 'minutes' and rule.e then
      local left = rule.v * 60000 - tonumber(redis.call('GET', KEYS[rule.k]) or 0)
      if not rest or left < rest then rest, by = left, rule.n end
    end
  end
  if not rest then return nil end
  local slice = math.min(want.most, math.max(want.least, math.floor(rest / want.share)))
  slice = math.min(slice, rest, want.longest)
  return math.max(0, math.ceil(slice / 1000) * 1000), by
end

-- Add to a counter of minutes; notes in `warned` when its warning has been reached for the first time.
local function add_minutes(rule, ms, warned)
  local key = KEYS[rule.k]
  local after = redis.call('INCRBY', key, ms)
  redis.call('PEXPIRE', key, rule.keep)
  if rule.warn > 0 and after >= rule.warn then
    local said = string.gsub(key, ':minutes:', ':warned:', 1)
    if redis.call('SET', said, 1, 'NX', 'PX', rule.keep) then
      warned[#warned + 1] = {rule.n, after}
      if rule.x then
        local time = redis.call('TIME')
        local now = time[1] * 1000 + math.floor(time[2] / 1000)
        local data = {limit = rule.n, used_ms = after, minutes = rule.v, enforced = rule.e}
        redis.call('XADD', KEYS[rule.x], 'MAXLEN', '~', rule.most, '*', 'limit.warned',
          cjson.encode({key = said, at_ms = now, data = data}))
      end
    end
  end
end

-- Spend a slice from every enforced limit; returns the counters it came from.
local function spend(rules, ms, warned)
  local counters = {}
  for _, rule in ipairs(rules) do
    if rule.m == 'minutes' and rule.e then
      add_minutes(rule, ms, warned)
      counters[#counters + 1] = KEYS[rule.k]
    end
  end
  return counters
end
