-- Save a call's session, drop the events it has taken in, and keep the lock.
-- KEYS  call hash, mailbox list, attend zset
-- ARGV  call id, token, session, events handled since the last save, lock time in ms,
--       when to look at the call again (ms since the epoch; '' = keep the lock), id of this save
-- Returns {1, events that have come meanwhile}. With a time to look again and an empty mailbox the
-- lock and the nudge mark are given up in the same step, so no event can fall in between.
-- Returns {0} when the lock is not ours any more; then nothing was changed.
-- A save that comes twice (the reply was lost and the client asked again) drops its events once.
local known = redis.call('HMGET', KEYS[1], 'token', 'saved')
if known[1] ~= ARGV[2] then return {0} end
redis.call('HSET', KEYS[1], 'session', ARGV[3], 'saved', ARGV[7])
if known[2] ~= ARGV[7] then redis.call('LTRIM', KEYS[2], ARGV[4], -1) end
local events = redis.call('LRANGE', KEYS[2], 0, -1)
if ARGV[6] ~= '' and #events == 0 then
  redis.call('HDEL', KEYS[1], 'token', 'until', 'nudged', 'saved')
  redis.call('ZADD', KEYS[3], ARGV[6], ARGV[1])
  return {1, events}
end
local time = redis.call('TIME')
local until_ms = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[5]
redis.call('HSET', KEYS[1], 'until', until_ms)
redis.call('ZADD', KEYS[3], until_ms, ARGV[1])
return {1, events}
