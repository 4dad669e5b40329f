-- Takes what belongs to a challenge: whoever asks first gets it.
-- KEYS: the challenge.
-- Returns the stored form, or nothing.
local value = redis.call('GET', KEYS[1])
redis.call('DEL', KEYS[1])
return value
