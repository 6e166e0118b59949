-- Take or renew the lease of a node's listener, if it is as it was seen.
-- KEYS  the lease, a key to read along (may be left out)
-- ARGV  the value that may be replaced, the new value, time in ms after which an abandoned key goes
-- Returns the value afterwards, the new one when it is ours, and what was read. A lease that is not
-- there may always be taken. Run again after a lost reply it answers the same.
local now = redis.call('GET', KEYS[1])
-- One of another type, which another version may keep there, must not keep the lease from its holder.
local read = KEYS[2] and redis.pcall('GET', KEYS[2])
if type(read) ~= 'string' then read = false end
if now and now ~= ARGV[1] then return {now, read} end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return {ARGV[2], read}
