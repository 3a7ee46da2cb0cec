-- Let a schedule rest, or go on: what was due meanwhile is not made up for.
-- KEYS: definitions, state, revision
-- ARGV: name, 1 to pause
-- Returns 1, or 0 when there is no such schedule
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end
local paused = redis.call('HGET', KEYS[2], 'paused') == '1'
if paused and ARGV[2] ~= '1' then redis.call('HSET', KEYS[2], 'last_slot', now_ms()) end
redis.call('HSET', KEYS[2], 'paused', ARGV[2])
redis.call('INCR', KEYS[3])
return 1
