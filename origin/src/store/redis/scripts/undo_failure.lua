-- Undoes an attempt that did not fail, and its delay, if no later attempt set another one. The value is the one of
-- count_failure.lua; one without any failure left is removed.
-- KEYS: the failures. ARGV: now, in which time one is forgiven, the time of the next attempt that counting it set.
local before = redis.call('GET', KEYS[1])
if not before then
  return
end
local stored_forgiven, next_at = string.match(before, '^(-?%d+):(-?%d+)$')
local left = stored_forgiven and tonumber(stored_forgiven) - tonumber(ARGV[2]) or 0
if left > tonumber(ARGV[1]) then
  if next_at == ARGV[3] then
    next_at = ARGV[1]
  end
  redis.call('SET', KEYS[1], string.format('%.0f:%s', left, next_at), 'KEEPTTL')
else
  redis.call('UNLINK', KEYS[1])
end
