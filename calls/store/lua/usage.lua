-- What is used of each limit now, from the same counters that refuse.
-- KEYS  one counter for each limit
-- ARGV  the metric of each
-- Returns the count of each: calls up, calls in the last second, or ms of talk.
local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
local counts = {}
for index, key in ipairs(KEYS) do
  local metric, count = ARGV[index], 0
  if metric == 'concurrent' then
    count = redis.call('ZCOUNT', key, string.format('(%.0f', math.floor(now_us / 1000)), '+inf')
  elseif metric == 'cps' then
    for _, at_us in ipairs(redis.call('LRANGE', key, 0, -1)) do
      local age = now_us - tonumber(at_us)
      -- What lies in the future was noted by a clock that went back since.
      if age >= 0 and age < 1000000 then count = count + 1 end
    end
  elseif metric == 'minutes' then
    count = tonumber(redis.call('GET', key) or 0)
  end
  counts[index] = count
end
return counts
