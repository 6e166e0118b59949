-- Become the keeper of a cell's places, or remain it.
-- KEYS  who keeps, the mark that it is known who holds places
-- ARGV  name of the worker, ms for which it is elected
-- Returns {1 when it is this worker, else 0; 1 while the mark is there, else 0}.
local keeper = redis.call('GET', KEYS[1])
local kept = redis.call('EXISTS', KEYS[2])
if keeper and keeper ~= ARGV[1] then return {0, kept} end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {1, kept}
