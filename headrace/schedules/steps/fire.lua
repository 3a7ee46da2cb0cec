-- Deal with slots that are due: write down what is run and what is not.
-- KEYS: definitions, state, runs of the schedule, ready
-- ARGV: schedule, run prefix, slot up to which all was dealt with, newest slot, when that is due,
--       run id, definition, 1 to run the newest, how many slots were missed, the first of them,
--       when the newest of them was due, id of their record
-- Returns what became of the newest slot: 'waiting', 'queued', 'skipped', 'missed', or 'stale'
--   when someone else dealt with it or the schedule was changed
local definition = redis.call('HGET', KEYS[1], ARGV[1])
local state = redis.call('HMGET', KEYS[2], 'last_slot', 'paused', 'active', 'queued')
if definition ~= ARGV[7] or state[1] ~= ARGV[3] or state[2] == '1' then return 'stale' end
redis.call('HSET', KEYS[2], 'last_slot', ARGV[4])
local now = now_ms()
if tonumber(ARGV[9]) > 0 then
  record(KEYS[3], ARGV[2], ARGV[12], ARGV[11], 'schedule', ARGV[1], 'slot_ms', ARGV[10],
    'slots', ARGV[9], 'state', 'missed', 'created_ms', now, 'finished_ms', now,
    'reason', 'no scheduler was there in time')
end
if ARGV[8] ~= '1' then return 'missed' end
local policy = cjson.decode(definition)['overlap'] or 'skip'
local outcome, reason = 'waiting', ''
if state[3] then
  if state[4] or policy == 'skip' then
    outcome = 'skipped'
    reason = (state[4] and 'one is queued already: ' .. state[4])
      or 'a run is still under way: ' .. state[3]
  else
    outcome = 'queued'
    if policy == 'cancel' then redis.call('HSET', ARGV[2] .. state[3], 'cancel', 1) end
  end
end
record(KEYS[3], ARGV[2], ARGV[6], ARGV[5], 'schedule', ARGV[1], 'slot_ms', ARGV[4], 'slots', 1,
  'state', outcome, 'created_ms', now, 'reason', reason, 'definition', definition)
if outcome == 'waiting' then
  redis.call('HSET', KEYS[2], 'active', ARGV[6])
  redis.call('ZADD', KEYS[4], now, ARGV[6])
elseif outcome == 'queued' then
  redis.call('HSET', KEYS[2], 'queued', ARGV[6])
else
  redis.call('HSET', ARGV[2] .. ARGV[6], 'finished_ms', now)
end
return outcome
