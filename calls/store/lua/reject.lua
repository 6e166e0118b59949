-- Put what cannot be understood aside, out of its call's way; calls/store/rejected.py has the form.
-- KEYS  call hash, mailbox list, stream of what went aside, hash of totals
-- ARGV  call id, token, most entries to keep, why the session goes aside ('' = it does not), then
--       for each event that goes aside: the event, why
-- Returns {1}, or {0} when the lock is not ours any more; then nothing was changed.
-- Done twice (the reply was lost and the client asked again) it puts nothing aside twice: an event
-- is taken out of the mailbox, a session out of the hash.
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[2] then return {0} end

local function aside(kind, reason, data)
  redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[3], '*',
             'call', ARGV[1], 'kind', kind, 'reason', reason, 'data', data)
  redis.call('HINCRBY', KEYS[4], kind, 1)
end

if ARGV[4] ~= '' then
  local session = redis.call('HGET', KEYS[1], 'session')
  if session then
    aside('session', ARGV[4], session)
    redis.call('HDEL', KEYS[1], 'session')
  end
end
for index = 5, #ARGV, 2 do
  if redis.call('LREM', KEYS[2], 1, ARGV[index]) > 0 then
    aside('event', ARGV[index + 1], ARGV[index])
  end
end
return {1}
