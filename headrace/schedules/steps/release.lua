-- Give a run back that is to be taken up by someone else.
-- KEYS: run, ready, leased
-- ARGV: run id, owner
-- Returns 1, or 0 when it was not this owner's any more
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], 'state', 'waiting', 'owner', '')
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('ZADD', KEYS[2], now_ms(), ARGV[1])
return 1
