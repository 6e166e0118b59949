-- Tell which calls somebody must look at, and set them right when the clock of Redis went back.
-- KEYS  attend zset, time of the last look, keys to read along
-- ARGV  how far to look ahead in ms, most calls
-- Returns now in ms since the epoch, how many calls live, what was read along, then call id and in how
-- many ms (negative: since when) for each call that is due, the longest due first.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local last = tonumber(redis.call('GET', KEYS[2]) or now)
if now < last - 1000 then
  -- All that is due was noted by the clock as it was, and would now be due that much later.
  local calls = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
  for index = 1, #calls, 2 do
    redis.call('ZADD', KEYS[1], calls[index + 1] - (last - now), calls[index])
  end
end
if math.abs(now - last) > 1000 or now == last then redis.call('SET', KEYS[2], now) end
local found = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now + ARGV[1], 'WITHSCORES', 'LIMIT', 0, ARGV[2])
local read = {}
for index = 3, #KEYS do
  -- One of another type, which another version may keep there, must not hide what is due.
  local held = redis.pcall('GET', KEYS[index])
  read[index - 2] = type(held) == 'string' and held
end
local due = {now, redis.call('ZCARD', KEYS[1]), read}
for index = 1, #found, 2 do
  due[index + 3] = found[index]
  due[index + 4] = math.floor(found[index + 1] - now)
end
return due
