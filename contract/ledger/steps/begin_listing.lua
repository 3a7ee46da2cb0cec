-- Number a new listing of a source by the time at which it begins.
-- KEYS: sources
-- ARGV: source, where it is read from, field that numbers its listings
-- Returns the number
local last = tonumber(redis.call('HGET', KEYS[1], ARGV[3]) or 0)
local number = math.max(last + 1, now_ms())
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2], ARGV[3], string.format('%d', number))
return number
