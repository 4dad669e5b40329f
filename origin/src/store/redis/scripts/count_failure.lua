-- Counts an attempt as one that fails, unless it comes before its time. The value is "forgiven:next": when all failures are
-- forgiven, and when the next attempt may be made, in the caller's milliseconds.
-- KEYS: the failures. ARGV: now, failures that are free, what the next one costs, the most that any costs, in which time one is
-- forgiven, the most that are remembered, how much longer than it is needed the value is kept.
-- Returns the value as it was, from which the caller makes the decision by the same rule.
local before = redis.call('GET', KEYS[1])
local now, free, first, longest = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local interval, most = tonumber(ARGV[5]), tonumber(ARGV[6])
local forgiven, next_at = now, now
if before then
  local stored_forgiven, stored_next = string.match(before, '^(-?%d+):(-?%d+)$')
  if stored_forgiven then
    forgiven = math.min(math.max(tonumber(stored_forgiven), now), now + most * interval)
    next_at = math.min(tonumber(stored_next), now + longest)
  end
end
if next_at <= now then
  forgiven = math.min(forgiven + interval, now + most * interval)
  local level = math.ceil((forgiven - now) / interval)
  local delay = 0
  if level > free then
    delay = math.min(first * 2 ^ (level - free - 1), longest)
  end
  next_at = now + delay
end
local value = string.format('%.0f:%.0f', forgiven, next_at)
if value ~= before then
  local kept = math.min(math.max(forgiven, next_at) - now + tonumber(ARGV[7]), 1e13)
  redis.call('SET', KEYS[1], value, 'PX', string.format('%.0f', kept))
end
return before
