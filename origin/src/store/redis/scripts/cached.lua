-- Reads an entry of a cache group with the group's lease. A group that is absent is made with the caller's lease.
-- So is one that was written before the server started or took over: it may have come back from a copy on disk or on a
-- replica that is older than an invalidation.
-- KEYS: the group. ARGV: the entry's field, a new lease, for how many milliseconds an empty group is kept.
-- Returns the lease and the entry.
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
local held = redis.call('HMGET', KEYS[1], 'run', 'lease', ARGV[1])
if held[1] == run and held[2] then
  return { held[2], held[3] }
end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'run', run, 'lease', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return { ARGV[2], false }
