-- Put events into one call's mailbox, in order.
-- KEYS  call hash, mailbox list, attend zset
-- ARGV  call id, opens (1: the first event may begin a call), urgency of the most urgent event
--       (0 later, 1 soon, 2 now), the events
-- Returns 1 when a worker must be nudged, else 0. Events of a call that is over, or that never
-- began, are dropped: a late StasisEnd must not leave a mailbox behind that nobody will ever read.
local known = redis.call('HMGET', KEYS[1], 'over', 'session', 'nudged')
if known[1] then return 0 end
if ARGV[2] == '0' and not known[2] and redis.call('EXISTS', KEYS[2]) == 0 then return 0 end
redis.call('RPUSH', KEYS[2], unpack(ARGV, 4))
if ARGV[3] == '0' then return 0 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[3], 'LT', now + 1000, ARGV[1])
if ARGV[3] == '1' or known[3] then return 0 end
redis.call('HSET', KEYS[1], 'nudged', 1)
return 1
