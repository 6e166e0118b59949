-- Note that a turn with a call failed, and let the call go for a while.
-- KEYS  call hash, mailbox list, attend zset
-- ARGV  call id, token, ms until it is tried again, turns that must have failed and ms for which
--       before it is given up, lock time in ms
-- Returns {1, turns failed, for how many ms}; {2, turns failed, for how many ms} when it is to be
-- given up: the lock is then kept; {0} when the lock is not ours any more (or was let go by this
-- same script, whose reply was lost).
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[2] then return {0} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local failed = redis.call('HINCRBY', KEYS[1], 'failed', 1)
local since = tonumber(redis.call('HGET', KEYS[1], 'failing') or now)
-- The clock of Redis went back: nobody has failed in the future.
if since > now then since = now end
redis.call('HSET', KEYS[1], 'failing', since)
if failed >= tonumber(ARGV[4]) and now - since >= tonumber(ARGV[5]) then
  redis.call('HSET', KEYS[1], 'until', now + ARGV[6])
  redis.call('ZADD', KEYS[3], now + ARGV[6], ARGV[1])
  return {2, failed, now - since}
end
redis.call('HDEL', KEYS[1], 'token', 'until')
redis.call('ZADD', KEYS[3], now + ARGV[3], ARGV[1])
return {1, failed, now - since}
