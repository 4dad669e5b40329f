-- Puts a one-time code in place of any before it.
-- KEYS: the code. ARGV: its hash, its tries, until when it is good (the caller's milliseconds), for how many it is kept.
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'hash', ARGV[1], 'tries', ARGV[2], 'until', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
