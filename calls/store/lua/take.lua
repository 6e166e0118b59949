-- Take a call's lock and read all that is known of it.
-- KEYS  call hash, mailbox list, attend zset, config version
-- ARGV  call id, token, lock time in ms
-- Returns {1, session or false, events, config version, 1 or false: somebody else had the lock and
-- did not let it go} when taken; {0} when somebody else has the lock or there is nothing to do.
-- A lock that this token already has (the reply was lost and the client asked again) is taken once
-- more.
-- A lock never holds longer than the lock time from now, whatever its end says: the clock of Redis
-- may have gone back. It is shortened, not taken, as its holder may be alive.
local known = redis.call('HMGET', KEYS[1], 'over', 'session', 'token', 'until')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if known[3] and known[3] ~= ARGV[2] and tonumber(known[4]) > now then
  local lapses = math.min(known[4], now + ARGV[3])
  redis.call('HSET', KEYS[1], 'until', lapses)
  redis.call('ZADD', KEYS[3], 'XX', lapses, ARGV[1])
  return {0}
end
local events = redis.call('LRANGE', KEYS[2], 0, -1)
if known[1] or (not known[2] and #events == 0) then
  redis.call('ZREM', KEYS[3], ARGV[1])
  redis.call('DEL', KEYS[2])
  if not known[1] then redis.call('DEL', KEYS[1]) end
  return {0}
end
redis.call('HSET', KEYS[1], 'token', ARGV[2], 'until', now + ARGV[3])
redis.call('ZADD', KEYS[3], now + ARGV[3], ARGV[1])
return {1, known[2], events, redis.call('GET', KEYS[4]), known[3] and known[3] ~= ARGV[2]}
