-- Undoes one of a window that is open. The value is the one of count.lua; one without any left is removed.
-- KEYS: the window. ARGV: now, length of the window.
local before = redis.call('GET', KEYS[1])
if not before then
  return
end
local at, counted = string.match(before, '^(-?%d+):(%d+)$')
local open = at and math.abs(tonumber(ARGV[1]) - tonumber(at)) < tonumber(ARGV[2])
local left = open and tonumber(counted) - 1 or 0
if left > 0 then
  redis.call('SET', KEYS[1], string.format('%s:%.0f', at, left), 'KEEPTTL')
else
  redis.call('UNLINK', KEYS[1])
end
