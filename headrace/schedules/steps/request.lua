-- Begin a run now, because someone asked for it.
-- KEYS: definitions, state, runs of the schedule, ready
-- ARGV: name, run prefix, run id
-- Returns 'waiting', 'queued' behind one that is under way, the id of one that is queued
--   already, or '' when there is no such schedule
local definition = redis.call('HGET', KEYS[1], ARGV[1])
if not definition then return '' end
local state = redis.call('HMGET', KEYS[2], 'active', 'queued')
if state[2] then return state[2] end
local outcome, now = state[1] and 'queued' or 'waiting', now_ms()
record(KEYS[3], ARGV[2], ARGV[3], now, 'schedule', ARGV[1], 'slot_ms', now, 'slots', 1,
  'state', outcome, 'created_ms', now, 'reason', 'asked for', 'definition', definition)
redis.call('HSET', KEYS[2], state[1] and 'queued' or 'active', ARGV[3])
if not state[1] then redis.call('ZADD', KEYS[4], now, ARGV[3]) end
return outcome
