#!lua flags=allow-oom
-- Move the end of a lease, if the batch is still this owner's.
-- KEYS: batch, leased
-- ARGV: batch id, owner, lease in ms
-- Returns 1, or 0 when the lease is lost
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[2] then return 0 end
redis.call('ZADD', KEYS[2], now_ms() + tonumber(ARGV[3]), ARGV[1])
return 1
