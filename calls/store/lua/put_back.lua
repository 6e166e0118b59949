-- Put an entry that was set aside back into its call's place, if the call is still there.
-- KEYS  stream of what went aside, call hash, mailbox list, attend zset
-- ARGV  id of the entry, call id
-- Returns 1 when it is back, 0 when the call is over or its place is taken, -1 when there is no such
-- entry any more.
local found = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])[1]
if not found then return -1 end
local entry = {}
for index = 1, #found[2], 2 do entry[found[2][index]] = found[2][index + 1] end
local known = redis.call('HMGET', KEYS[2], 'over', 'session')
if known[1] then return 0 end
if entry.kind == 'session' then
  if known[2] then return 0 end
  redis.call('HSET', KEYS[2], 'session', entry.data)
else
  if not known[2] and redis.call('EXISTS', KEYS[3]) == 0 then return 0 end
  redis.call('RPUSH', KEYS[3], entry.data)
end
redis.call('ZADD', KEYS[4], 'LT', 0, ARGV[2])
redis.call('XDEL', KEYS[1], ARGV[1])
return 1
