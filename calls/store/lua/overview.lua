-- What is known of some live calls, without touching them. Keys: calls/store/mailbox.py.
-- ARGV  call ids, some hundred at most: while this runs, all other calls wait
-- Returns for each call, in turn, its session (false: no worker has seen it yet) and the events
-- that wait.
local seen = {}
for _, call in ipairs(ARGV) do
  seen[#seen + 1] = redis.call('HGET', 'ringmaster:call:' .. call, 'session')
  seen[#seen + 1] = redis.call('LRANGE', 'ringmaster:mail:' .. call, 0, -1)
end
return seen
