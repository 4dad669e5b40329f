-- Guesses at a one-time code. Keyed hashes are compared, so the time the comparison takes tells nothing of the code.
-- KEYS: the code. ARGV: the guess's hash, now.
-- Returns -2 when there is no code, -1 when the guess was right, else how many guesses are left.
local code = redis.call('HMGET', KEYS[1], 'hash', 'tries', 'until')
if not (code[1] and code[2] and code[3]) or tonumber(code[3]) <= tonumber(ARGV[2]) then
  return -2
end
local is_right = code[1] == ARGV[1]
local left = math.max(tonumber(code[2]) - 1, 0)
if is_right or left == 0 then
  redis.call('DEL', KEYS[1])
else
  redis.call('HSET', KEYS[1], 'tries', left)
end
return is_right and -1 or left
