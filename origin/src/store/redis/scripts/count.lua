-- Counts one more in a window that has room. The value is "started:count"; times are the caller's milliseconds.
-- KEYS: the window. ARGV: now, length of the window, limit, how much longer than it is open it is kept.
-- Returns the value as it was, from which the caller makes the decision by the same rule.
local before = redis.call('GET', KEYS[1])
local now, window, limit = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local started, count = now, 0
if before then
  local at, counted = string.match(before, '^(-?%d+):(%d+)$')
  if at and math.abs(now - tonumber(at)) < window then
    started, count = tonumber(at), tonumber(counted)
  end
end
if count < limit then
  count = count + 1
end
local value = string.format('%.0f:%.0f', started, count)
if value ~= before then
  local kept = string.format('%.0f', started + window - now + tonumber(ARGV[4]))
  redis.call('SET', KEYS[1], value, 'PX', kept)
end
return before
