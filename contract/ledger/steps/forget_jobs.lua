#!lua flags=allow-oom
-- Forget the oldest jobs, but not one whose producer still reports, and none that is paused or
-- being cleared up: batches would lie parked for ever.
-- KEYS: jobs, jobs that are being cancelled, then a job each
-- ARGV: time in ms since which a producer that lives has reported, then their names
for at = 3, #KEYS do
  local name = ARGV[at - 1]
  local job = redis.call('HMGET', KEYS[at], 'seen_ms', 'halt')
  local is_silent = tonumber(job[1] or 0) < tonumber(ARGV[1])
  if is_silent and job[2] ~= 'paused' and redis.call('SISMEMBER', KEYS[2], name) == 0 then
    redis.call('DEL', KEYS[at])
    redis.call('ZREM', KEYS[1], name)
  end
end
