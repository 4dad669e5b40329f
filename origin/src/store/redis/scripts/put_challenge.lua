-- Puts what belongs to a challenge in place of anything before it. It is stored as a value is: "until:value".
-- KEYS: the challenge. ARGV: until when it is good (the caller's milliseconds), the value, for how many milliseconds it is kept.
redis.call('SET', KEYS[1], ARGV[1] .. ':' .. ARGV[2], 'PX', ARGV[3])
return 1
