#!lua flags=allow-oom
-- Pause, resume or cancel a job: what waits is parked, given back, or struck off.
-- KEYS: job, waiting, parked batches of the job, totals, jobs that are being cancelled, leased,
--       open documents of the job
-- ARGV: job, 'paused', 'cancelled' or '' to go on, batch key prefix, job key prefix,
--       parked key prefix
-- Returns 1, or 0 when there is no such job, it is done, or it is cancelled and stays so
local state = redis.call('HMGET', KEYS[1], 'halt', 'sealed', 'batches_published',
  'batches_finished')
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
if state[1] == 'cancelled' and ARGV[2] ~= 'cancelled' then return 0 end
if state[1] ~= 'cancelled' and ARGV[2] ~= '' and state[2] == '1'
  and tonumber(state[4] or 0) >= tonumber(state[3] or 0)
  and redis.call('EXISTS', KEYS[7]) == 0 then return 0 end
redis.call('HSET', KEYS[1], 'halt', ARGV[2])
local ids = {}
if ARGV[2] ~= 'paused' then ids = redis.call('SMEMBERS', KEYS[3]) end
if ARGV[2] ~= '' then
  for _, id in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
    if redis.call('HGET', ARGV[3] .. id, 'job') == ARGV[1] then ids[#ids + 1] = id end
  end
end
for _, id in ipairs(ids) do
  give_back(ARGV[3] .. id, id, 0, KEYS[2], KEYS[6], KEYS[4], ARGV[4], ARGV[5])
end
if ARGV[2] ~= 'paused' then redis.call('DEL', KEYS[3]) end
if ARGV[2] == 'cancelled' then redis.call('SADD', KEYS[5], ARGV[1]) end
return 1
