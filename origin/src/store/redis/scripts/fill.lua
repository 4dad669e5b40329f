-- Puts an entry into a cache group, if the group still has this lease. A group that is full loses its entries first.
-- KEYS: the group. ARGV: the entry's field, the lease, the entry, for how many milliseconds it is kept, the most entries.
local held = redis.call('HMGET', KEYS[1], 'epoch', 'made', 'lease')
if held[3] ~= ARGV[2] then
  return 0
end
local kept = math.max(redis.call('PTTL', KEYS[1]), tonumber(ARGV[4]))
-- Beside its entries a group has these three.
if redis.call('HLEN', KEYS[1]) - #held >= tonumber(ARGV[5]) and redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'epoch', held[1], 'made', held[2], 'lease', held[3])
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('PEXPIRE', KEYS[1], kept)
return 1
