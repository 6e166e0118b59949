-- Begin a call that is ordered under a key, once: what is remembered of the key, the call's mailbox,
-- the note that it began, and the nudge.
-- KEYS  what is remembered of the key, call hash, mailbox list, attend zset, stream of what began,
--       the workers' queue
-- ARGV  call id, digest of the order, ms for which the key is remembered, the event of the order,
--       the nudge to put into the queue ('' = the caller nudges)
-- Returns {id of the call that is ordered under this key, digest of its order, 1 when the caller
-- must nudge a worker, 1 when the call begins with this}. Run again, with the same order or another,
-- it begins nothing, and says what was ordered first.
local known = redis.call('HMGET', KEYS[1], 'call', 'digest')
if known[1] then return {known[1], known[2], 0, 0} end
redis.call('HSET', KEYS[1], 'call', ARGV[1], 'digest', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
-- The key was forgotten, and not the call: it stays the one there is.
if redis.call('EXISTS', KEYS[2], KEYS[3]) > 0 then return {ARGV[1], ARGV[2], 0, 0} end
redis.call('XADD', KEYS[5], '*', 'call', ARGV[1])
redis.call('RPUSH', KEYS[3], ARGV[4])
local time = redis.call('TIME')
redis.call('ZADD', KEYS[4], time[1] * 1000 + math.floor(time[2] / 1000) + 1000, ARGV[1])
redis.call('HSET', KEYS[2], 'nudged', 1)
if ARGV[5] == '' then return {ARGV[1], ARGV[2], 1, 1} end
redis.call('LPUSH', KEYS[6], ARGV[5])
return {ARGV[1], ARGV[2], 0, 1}
