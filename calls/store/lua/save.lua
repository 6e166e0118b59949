-- Save a call's session, drop the events it has taken in, and keep the lock.
-- KEYS  call hash, mailbox list, attend zset, journal list, stream of what began, outbox of webhooks
--       (with news alone)
-- ARGV  call id, token, session, events handled since the last save, lock time in ms,
--       in how many ms to look at the call again ('' = keep the lock), id of this save,
--       page of the journal ('' = none), most pages of a journal, about how many news may wait,
--       the news: event and text, event and text, ...
-- Returns {1, events that have come meanwhile}. With a time to look again and an empty mailbox the
-- lock and the nudge mark are given up in the same step, so no event can fall in between.
-- Returns {0} when the lock is not ours any more; then nothing was changed.
-- A call that is held has a token, one that was let go a session, one that is over a tombstone. With
-- none of them Redis has lost the call, and its holder gives back what it has in hand, the note that
-- it began too; what lies in the mailbox has come since, and is none of what it has handled.
-- A save that comes twice (the reply was lost and the client asked again) drops its events once,
-- and writes its page and its news once.
local known = redis.call('HMGET', KEYS[1], 'token', 'saved', 'session', 'over')
local lost = not known[1] and not known[3] and not known[4]
if known[1] ~= ARGV[2] and not lost then return {0} end
if lost then
  redis.call('HSET', KEYS[1], 'token', ARGV[2])
  redis.call('XADD', KEYS[5], '*', 'call', ARGV[1])
end
redis.call('HSET', KEYS[1], 'session', ARGV[3], 'saved', ARGV[7])
if known[2] ~= ARGV[7] then
  if not lost then redis.call('LTRIM', KEYS[2], ARGV[4], -1) end
  if ARGV[8] ~= '' and redis.call('LLEN', KEYS[4]) < tonumber(ARGV[9]) then
    redis.call('RPUSH', KEYS[4], ARGV[8])
  end
  for index = 11, #ARGV, 2 do redis.call('XADD', KEYS[6], 'MAXLEN', '~', ARGV[10], '*', ARGV[index], ARGV[index + 1]) end
end
local events = redis.call('LRANGE', KEYS[2], 0, -1)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if ARGV[6] ~= '' and #events == 0 then
  redis.call('HDEL', KEYS[1], 'token', 'until', 'nudged', 'saved', 'failed', 'failing')
  redis.call('ZADD', KEYS[3], now + ARGV[6], ARGV[1])
  return {1, events}
end
redis.call('HSET', KEYS[1], 'until', now + ARGV[5])
redis.call('ZADD', KEYS[3], now + ARGV[5], ARGV[1])
return {1, events}
