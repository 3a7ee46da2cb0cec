#!lua flags=allow-oom
-- Put smaller batches in the place of one that its owner holds.
-- KEYS: batch, waiting, leased, totals, job, then a child for each, then for each piece of a part
--       in each child its document
-- ARGV: batch id, owner, number of children, then for each child: id, payload, chunks, number of
--       pieces, then for each of those: version, first of the part that it was cut of, first,
--       units
-- Returns 1, or 0 when the lease is lost
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[2] then return 0 end
local before = redis.call('HMGET', KEYS[1], 'job', 'chunks', 'bytes', 'crashes', 'attempts',
  'first_error', 'lane', 'published_ms')
local children = tonumber(ARGV[3])
local at, document, batches, bytes, chunks = 4, 5 + children, -1, 0, 0
local marks = {}
for child = 1, children do
  local id, payload, size, pieces = ARGV[at], ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3])
  at = at + 4
  -- It may be there: the whole was published twice, and is split for the second time.
  if redis.call('EXISTS', KEYS[5 + child]) == 0 then
    redis.call('HSET', KEYS[5 + child], 'payload', payload, 'job', before[1], 'chunks', size,
      'bytes', #payload, 'crashes', before[4], 'alone_crashes', 0, 'attempts', before[5],
      'lane', before[7] or 'bulk', 'published_ms', before[8] or now_ms())
    if before[6] then redis.call('HSET', KEYS[5 + child], 'first_error', before[6]) end
    if before[8] then redis.call('HSET', KEYS[5 + child], 'published_ms', before[8]) end
    redis.call('ZADD', KEYS[2], 0, id)
    batches, bytes, chunks = batches + 1, bytes + #payload, chunks + tonumber(size)
  end
  for _ = 1, pieces do
    document = document + 1
    local version, origin, first, units = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
    local state = redis.call('HMGET', KEYS[document], 'wanted', 'part:' .. origin)
    -- Settled as a whole once, and counted. A version that is over has no marks at all, and
    -- those in the same places may be a newer one's.
    if state[1] == version and state[2] then
      local set = origin == first and 'HSET' or 'HSETNX' -- a piece may have its own
      local mark = state[2] == 'done' and 'done' or units
      marks[#marks + 1] = {set, KEYS[document], 'part:' .. first, mark}
    end
    at = at + 4
  end
end
-- After all were looked at: the first piece's mark takes the place of the whole's.
for _, mark in ipairs(marks) do redis.call(unpack(mark)) end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('HINCRBY', KEYS[4], 'batches', batches)
redis.call('HINCRBY', KEYS[4], 'chunks', chunks - tonumber(before[2]))
redis.call('HINCRBY', KEYS[4], 'bytes', bytes - tonumber(before[3]))
count_of_job(KEYS[5], 'batches_published', batches)
return 1
