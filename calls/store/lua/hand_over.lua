-- Hand the record of a call over once more, which Redis may have lost, and put its tombstone back.
-- KEYS  call hash, CDR stream, stream of what began
-- ARGV  tombstone time in ms, name of the record's field, record, call id
-- A call that lives again, rebuilt by a comparison in between, keeps its session: its own end
-- writes a record that comes second, and the first one stays.
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('HSET', KEYS[1], 'over', 1)
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
  redis.call('XADD', KEYS[3], '*', 'call', ARGV[4])
end
redis.call('XADD', KEYS[2], '*', ARGV[2], ARGV[3])
return 1
