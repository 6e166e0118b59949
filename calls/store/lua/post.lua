-- Put events into one call's mailbox, in order, and note a call that begins with them (the ledger
-- counts by it).
-- KEYS  call hash, mailbox list, attend zset, stream of what began, the workers' queue
-- ARGV  call id, opens (1: a call may begin with one of the events), urgency of the events
--       (0 later, 1 soon, 2 at the next look, 3 now), the nudge to put into the queue ('' = the
--       caller nudges), the events
-- Returns 1 when the caller must nudge a worker, else 0. Events of a call that is over, or that never
-- began, are dropped: a late StasisEnd must not leave a mailbox behind that nobody will ever read.
local known = redis.call('HMGET', KEYS[1], 'over', 'session', 'nudged')
if known[1] then return 0 end
if not known[2] and redis.call('EXISTS', KEYS[2]) == 0 then
  if ARGV[2] == '0' then return 0 end
  redis.call('XADD', KEYS[4], '*', 'call', ARGV[1])
end
redis.call('RPUSH', KEYS[2], unpack(ARGV, 5))
if ARGV[3] == '0' then return 0 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[3], 'LT', ARGV[3] == '2' and now or now + 1000, ARGV[1])
if ARGV[3] ~= '3' or known[3] then return 0 end
redis.call('HSET', KEYS[1], 'nudged', 1)
if ARGV[4] == '' then return 1 end
redis.call('LPUSH', KEYS[5], ARGV[4])
return 0
