-- Write a batch down before its message goes out. Writing it down twice changes nothing.
-- KEYS: batch, waiting, totals, job, parked batches of the job, then a document for each part
-- ARGV: batch id, payload, job, chunks, lane, then for each part: version, first, units
-- Returns 1 when it was written down, 0 when it stood there already or no part of it is needed
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
local needed = {}
for part = 1, #KEYS - 5 do
  local version, first, units = ARGV[3 * part + 3], ARGV[3 * part + 4], ARGV[3 * part + 5]
  local state = redis.call('HMGET', KEYS[part + 5], 'wanted', 'committed', 'withdrawn',
    'part:' .. first)
  -- A mark of fewer units: the batch was there, and has been split.
  local open = not state[4] or state[4] == units
  if state[1] == version and state[2] ~= version and state[3] ~= version and open then
    needed[#needed + 1] = part
  end
end
if #needed == 0 then return 0 end -- published again after the end, or superseded before
local halt = redis.call('HGET', KEYS[4], 'halt')
if halt == 'cancelled' then return 0 end
redis.call('HSET', KEYS[1], 'payload', ARGV[2], 'job', ARGV[3], 'chunks', ARGV[4],
  'lane', ARGV[5], 'bytes', #ARGV[2], 'crashes', 0, 'alone_crashes', 0, 'attempts', 0,
  'published_ms', now_ms())
if halt == 'paused' then redis.call('SADD', KEYS[5], ARGV[1])
else redis.call('ZADD', KEYS[2], now_ms(), ARGV[1]) end
redis.call('HINCRBY', KEYS[3], 'batches', 1)
redis.call('HINCRBY', KEYS[3], 'chunks', ARGV[4])
redis.call('HINCRBY', KEYS[3], 'bytes', #ARGV[2])
count_of_job(KEYS[4], 'batches_published', 1)
for _, part in ipairs(needed) do
  local first, units = ARGV[3 * part + 4], ARGV[3 * part + 5]
  if redis.call('HSETNX', KEYS[part + 5], 'part:' .. first, units) == 1 then
    redis.call('HINCRBY', KEYS[part + 5], 'published', units)
  end
end
return 1
