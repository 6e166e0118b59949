-- Let the sweeper leave calls alone for a while; those that are over stay so.
-- KEYS  attend zset
-- ARGV  for how many ms, then the call ids
local time = redis.call('TIME')
local later = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1]
for index = 2, #ARGV do redis.call('ZADD', KEYS[1], 'XX', later, ARGV[index]) end
return 1
