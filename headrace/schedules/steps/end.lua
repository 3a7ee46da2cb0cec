-- A run is over.
-- KEYS: run, ready, leased, sources
-- ARGV: run id, run prefix, state prefix, owner, state, reason, result
-- Returns 1, or 0 when it was not this owner's any more
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[4] then return 0 end
redis.call('HSET', KEYS[1], 'state', ARGV[5], 'reason', ARGV[6], 'result', ARGV[7])
conclude(ARGV[2], ARGV[1], KEYS[4], KEYS[2], KEYS[3], ARGV[3])
return 1
