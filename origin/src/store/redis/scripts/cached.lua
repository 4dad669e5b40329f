-- Reads an entry of a cache group with the group's lease. A group that is absent is made with the caller's lease. So is one
-- that may be older than an invalidation:
-- - one that was made before the server started or became the master: it may have come from a disk or another server;
-- - one that was made before the caller's process began: the one before may have ended while it owed an invalidation.
-- KEYS: the group. ARGV: the entry's field, a new lease, for how many milliseconds an empty group is kept, when the caller's
-- process began (the server's clock, in microseconds).
-- Returns the lease and the entry.
local replication = redis.call('INFO', 'replication')
if not string.find(replication, 'role:master', 1, true) then
  return redis.error_reply('READONLY what a replica has may be old')
end
-- A new one with every start as a master and with every promotion.
local epoch = string.match(replication, 'master_replid:(%w+)')
local held = redis.call('HMGET', KEYS[1], 'epoch', 'made', 'lease', ARGV[1])
if held[1] == epoch and held[3] and tonumber(held[2]) >= tonumber(ARGV[4]) then
  return { held[3], held[4] }
end
local time = redis.call('TIME')
local made = string.format('%.0f', time[1] * 1000000 + time[2])
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'epoch', epoch, 'made', made, 'lease', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return { ARGV[2], false }
