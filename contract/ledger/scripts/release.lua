#!lua flags=allow-oom
-- Give a batch back: at once, or not before some time when an attempt has failed.
-- KEYS: batch, waiting, leased
-- ARGV: batch id, owner, delay in ms, 1 when an attempt has failed
-- Returns 1, or 0 when it was not this owner's any more
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[2] then return 0 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HDEL', KEYS[1], 'owner')
redis.call('HINCRBY', KEYS[1], 'attempts', ARGV[4])
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('ZADD', KEYS[2], now + tonumber(ARGV[3]), ARGV[1])
return 1
