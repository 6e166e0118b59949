-- Put a session back that Redis has lost, for somebody to look at soon.
-- KEYS  call hash, attend zset, stream of what began
-- ARGV  call id, session
-- Returns 1, or 0 when the call is known or over: then nothing was changed.
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('HSET', KEYS[1], 'session', ARGV[2])
redis.call('XADD', KEYS[3], '*', 'call', ARGV[1])
local time = redis.call('TIME')
redis.call('ZADD', KEYS[2], time[1] * 1000 + math.floor(time[2] / 1000) + 1000, ARGV[1])
return 1
