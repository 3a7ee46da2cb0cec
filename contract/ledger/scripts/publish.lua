-- Write a batch down before its message goes out. Writing it down twice changes nothing.
-- KEYS: batch, waiting, totals, job, then a document for each part
-- ARGV: batch id, payload, job, chunks, then for each part: version, first, units
-- Returns 1 when it was written down, 0 when it stood there already or no part of it is needed
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
local needed = {}
for part = 1, #KEYS - 4 do
  local version, field = ARGV[3 * part + 2], 'part:' .. ARGV[3 * part + 3]
  local state = redis.call('HMGET', KEYS[part + 4], 'wanted', 'committed', field)
  if state[1] == version and state[2] ~= version and state[3] ~= 'done' then
    needed[#needed + 1] = part
  end
end
if #needed == 0 then return 0 end -- published again after the end, or superseded before
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[1], 'payload', ARGV[2], 'job', ARGV[3], 'chunks', ARGV[4],
  'bytes', #ARGV[2], 'crashes', 0, 'attempts', 0)
redis.call('ZADD', KEYS[2], now, ARGV[1])
redis.call('HINCRBY', KEYS[3], 'batches', 1)
redis.call('HINCRBY', KEYS[3], 'chunks', ARGV[4])
redis.call('HINCRBY', KEYS[3], 'bytes', #ARGV[2])
redis.call('HINCRBY', KEYS[4], 'batches_published', 1)
for _, part in ipairs(needed) do
  local first, units = ARGV[3 * part + 3], ARGV[3 * part + 4]
  if redis.call('HSETNX', KEYS[part + 4], 'part:' .. first, 'published') == 1 then
    redis.call('HINCRBY', KEYS[part + 4], 'published', units)
  end
end
return 1
