-- Forget a call that never began: events without a session.
-- KEYS  call hash, mailbox list, attend zset
-- ARGV  call id, token
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[2] then return {0} end
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('ZREM', KEYS[3], ARGV[1])
return {1}
