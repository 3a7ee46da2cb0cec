#!lua flags=allow-oom
-- Note that the owner of a batch has nothing else in hand: if it crashes, this batch is why.
-- KEYS: batch
-- ARGV: owner
-- Returns 1, or 0 when the lease is lost
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'alone', ARGV[1])
return 1
