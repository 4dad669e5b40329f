-- Inserts a nonce. The value is the caller's time until which it is known, in milliseconds.
-- KEYS: the nonce. ARGV: now, until, for how many milliseconds it is kept.
-- Returns 1 when it was absent, else 0.
local known = redis.call('GET', KEYS[1])
if known and tonumber(known) > tonumber(ARGV[1]) then
  return 0
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
