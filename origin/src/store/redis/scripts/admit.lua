-- Takes one from a steady rate. The value is the theoretical arrival time in the caller's microseconds.
-- KEYS: the rate. ARGV: now, interval and capacity (microseconds), how many milliseconds longer than it is needed it is kept.
-- Returns the value as it was, from which the caller makes the decision by the same rule.
local before = redis.call('GET', KEYS[1])
local now, interval, capacity = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local tat = before and tonumber(before) or now
tat = math.max(now, math.min(tat, now + capacity))
if tat + interval <= now + capacity then
  tat = tat + interval
end
local value = string.format('%.0f', tat)
if value ~= before then
  local kept = math.min(math.ceil((tat - now) / 1000) + tonumber(ARGV[4]), 1e13)
  redis.call('SET', KEYS[1], value, 'PX', string.format('%.0f', kept))
end
return before
