-- Write a schedule down: a new one, or another in its place.
-- KEYS: definitions, state, revision
-- ARGV: name, definition, 1 if it may replace another, 1 if its slots are counted anew
-- Returns 1, or 0 when there is one of this name
local now = now_ms()
local before = redis.call('HGET', KEYS[1], ARGV[1])
if before == ARGV[2] then return 1 end
if before and ARGV[3] ~= '1' then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
if not before or ARGV[4] == '1' then redis.call('HSET', KEYS[2], 'last_slot', now) end
if not before then redis.call('HSET', KEYS[2], 'created_ms', now) end
redis.call('INCR', KEYS[3])
return 1
