-- End a call: its record goes to the CDR stream, its journal to the stream of traces; its session,
-- mailbox and journal go, a tombstone stays.
-- KEYS  call hash, mailbox list, attend zset, CDR stream, journal list, stream of traces,
--       stream of what began, outbox of webhooks (with news alone)
-- ARGV  call id, token, tombstone time in ms, name of the record's field, record,
--       what the trace says of itself ('' = no trace), last page of the journal,
--       about how many traces may wait, about how many news may wait, the news as in save.lua
-- Returns {1}, or {0} when the lock is not ours any more; then nothing was changed. A call that Redis
-- has lost while it was held (see save.lua) is ended by its holder.
local known = redis.call('HMGET', KEYS[1], 'token', 'session', 'over')
local lost = not known[1] and not known[2] and not known[3]
if known[1] ~= ARGV[2] and not lost then return {0} end
if lost then redis.call('XADD', KEYS[7], '*', 'call', ARGV[1]) end
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[1], 'over', 1)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('XADD', KEYS[4], '*', ARGV[4], ARGV[5])
if ARGV[6] ~= '' then
  local pages = redis.call('LRANGE', KEYS[5], 0, -1)
  pages[#pages + 1] = ARGV[7]
  -- Whatever is wrong with the trace, the record above has been handed over.
  redis.pcall('XADD', KEYS[6], 'MAXLEN', '~', ARGV[8], '*',
    'head', ARGV[6], 'journal', table.concat(pages, '\n'))
end
redis.call('DEL', KEYS[5])
for index = 10, #ARGV, 2 do redis.call('XADD', KEYS[8], 'MAXLEN', '~', ARGV[9], '*', ARGV[index], ARGV[index + 1]) end
return {1}
