-- End a call: its record goes to the CDR stream, its session and mailbox go, a tombstone stays.
-- KEYS  call hash, mailbox list, attend zset, CDR stream
-- ARGV  call id, token, tombstone time in ms, name of the record's field, record
-- Returns {1}, or {0} when the lock is not ours any more; then nothing was changed.
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[2] then return {0} end
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[1], 'over', 1)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('XADD', KEYS[4], '*', ARGV[4], ARGV[5])
return {1}
