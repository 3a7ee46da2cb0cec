-- Move the end of a lease, and note the job by which people can follow the run.
-- KEYS: run, leased
-- ARGV: run id, owner, lease in ms, job, run prefix
-- Returns 'kept', 'cancelled' when it is to be given up, or 'lost'
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[2] then return 'lost' end
local till = now_ms() + tonumber(ARGV[3])
redis.call('HSET', KEYS[1], 'lease_end', till)
if ARGV[4] ~= '' then redis.call('HSET', KEYS[1], 'job', ARGV[4]) end
redis.call('ZADD', KEYS[2], till, ARGV[1])
return is_cancelled(ARGV[5], KEYS[1]) and 'cancelled' or 'kept'
