-- Inserts a value unless another is there. It is stored after the caller's time until which it is good: "until:value".
-- KEYS: the value. ARGV: now, until, the value, for how many milliseconds it is kept.
-- Returns the value that is there, in the stored form.
local known = redis.call('GET', KEYS[1])
if known then
  local mark = string.find(known, ':', 1, true)
  if mark and tonumber(string.sub(known, 1, mark - 1)) > tonumber(ARGV[1]) then
    return known
  end
end
local fresh = ARGV[2] .. ':' .. ARGV[3]
redis.call('SET', KEYS[1], fresh, 'PX', ARGV[4])
return fresh
