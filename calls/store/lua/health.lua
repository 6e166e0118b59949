-- Add outcomes of attempts to the trunks' windows, and judge those trunks by them.
-- KEYS  hash of trunks that are not up, then for each trunk its window and its trial mark
-- ARGV  1 JSON object:
--   trunks     {name, ok, bad}: attempts since the last time; both may be 0
--   bucket     ms of one part of the window
--   buckets    how many parts the window has
--   least      attempts below which nothing is judged
--   degraded, down   share of failed attempts from which a trunk is that
--   trial      ms between two trial calls of a trunk that is down
--   tell       about how many news may wait in the outbox of webhooks, the last of KEYS; 0 = none
-- Returns {trunks that are not up: name, state, ...}, {changes: name, before, after, bad, all, ...}
-- A state is kept as "down <ms since the epoch> <bad> <all>".
local want = cjson.decode(ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local bucket = math.floor(now / want.bucket)
local changes = {}

local function count(window, trunk)
  if trunk.ok > 0 then redis.call('HINCRBY', window, bucket .. ':ok', trunk.ok) end
  if trunk.bad > 0 then redis.call('HINCRBY', window, bucket .. ':bad', trunk.bad) end
  if trunk.ok + trunk.bad > 0 then redis.call('PEXPIRE', window, want.bucket * want.buckets) end
  local ok, bad = 0, 0
  local fields = redis.call('HGETALL', window)
  for index = 1, #fields, 2 do
    local number, kind = string.match(fields[index], '^(%d+):(%a+)$')
    local age = bucket - tonumber(number)
    -- What lies in the future was noted by a clock that went back since.
    if age < 0 or age >= want.buckets then
      redis.call('HDEL', window, fields[index])
    elseif kind == 'ok' then
      ok = ok + fields[index + 1]
    else
      bad = bad + fields[index + 1]
    end
  end
  return ok, bad
end

for index, trunk in ipairs(want.trunks) do
  local window, mark = KEYS[2 * index], KEYS[2 * index + 1]
  local ok, bad = count(window, trunk)
  local all = ok + bad
  local before = string.match(redis.call('HGET', KEYS[1], trunk.name) or 'up', '^%a+')
  local after = before
  if before == 'down' then
    -- Only trial calls go there, so one that got through is the proof.
    if trunk.ok > 0 then after = 'up' end
  elseif all < want.least then
    after = 'up'
  elseif bad / all >= want.down then
    after = 'down'
  elseif bad / all >= want.degraded then
    after = 'degraded'
  else
    after = 'up'
  end
  if after ~= before then
    if after == 'up' then
      redis.call('HDEL', KEYS[1], trunk.name)
    else
      redis.call('HSET', KEYS[1], trunk.name, string.format('%s %.0f %d %d', after, now, bad, all))
    end
    if after == 'down' then redis.call('SET', mark, now, 'PX', want.trial) end
    if before == 'down' then redis.call('DEL', window, mark) end
    if want.tell > 0 and (after == 'down' or before == 'down') then
      local data = {trunk = trunk.name, state = after, failed = bad, attempts = all}
      redis.call('XADD', KEYS[#KEYS], 'MAXLEN', '~', want.tell, '*', 'trunk.' .. after,
        cjson.encode({key = string.format('%s %.0f', trunk.name, now), at_ms = now, data = data}))
    end
    for _, value in ipairs({trunk.name, before, after, bad, all}) do
      changes[#changes + 1] = value
    end
  end
end
return {redis.call('HGETALL', KEYS[1]), changes}
