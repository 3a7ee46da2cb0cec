#!lua flags=allow-oom
-- Move the end of a lease, if the batch is still this owner's.
-- KEYS: batch, leased
-- ARGV: batch id, owner, lease in ms
-- Returns 1, or 0 when the lease is lost
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[2] then return 0 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[2], now + tonumber(ARGV[3]), ARGV[1])
return 1
