-- Forget a schedule and its runs; one that is under way is cancelled.
-- KEYS: definitions, state, revision, runs of the schedule, ready
-- ARGV: name, run prefix
-- Returns 1, or 0 when there is no such schedule
local there = redis.call('HDEL', KEYS[1], ARGV[1])
for _, id in ipairs(redis.call('ZRANGE', KEYS[4], 0, -1)) do
  local run = ARGV[2] .. id
  local state = redis.call('HGET', run, 'state')
  if state == 'running' or state == 'scattered' then
    redis.call('HSET', run, 'cancel', 1)
    redis.call('PEXPIRE', run, 24 * 3600 * 1000)
  else
    redis.call('ZREM', KEYS[5], id)
    redis.call('DEL', run)
  end
end
redis.call('DEL', KEYS[2], KEYS[4])
redis.call('INCR', KEYS[3])
return there
