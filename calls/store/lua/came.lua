-- What has come for a call beyond what its holder has handled; nothing is changed.
-- KEYS  call hash, mailbox list
-- ARGV  token, events handled since the last save
-- Returns the events; none where the lock is not ours any more, or Redis has lost the call: the
-- holder's next script says which, and brings what lies there.
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return {} end
return redis.call('LRANGE', KEYS[2], ARGV[2], -1)
