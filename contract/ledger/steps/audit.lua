#!lua flags=allow-oom
-- Compare the totals with the batches that there are.
-- KEYS: waiting, leased, totals, jobs
-- ARGV: batch key prefix, parked key prefix, 1 to mend
-- Returns {batches, chunks, bytes as the totals say; the same as counted; ids without a batch}
local batches, chunks, bytes, gone = 0, 0, 0, 0
local seen = {}

local function count(ids, drop)
  for _, id in ipairs(ids) do
    if not seen[id] then
      local batch = redis.call('HMGET', ARGV[1] .. id, 'chunks', 'bytes')
      if batch[1] then
        seen[id] = true
        batches, chunks, bytes = batches + 1, chunks + batch[1], bytes + batch[2]
      else
        gone = gone + 1
        if ARGV[3] == '1' then drop(id) end
      end
    end
  end
end

for at = 1, 2 do
  count(redis.call('ZRANGE', KEYS[at], 0, -1), function(id) redis.call('ZREM', KEYS[at], id) end)
end
for _, job in ipairs(redis.call('ZRANGE', KEYS[4], 0, -1)) do
  local parked = ARGV[2] .. job
  count(redis.call('SMEMBERS', parked), function(id) redis.call('SREM', parked, id) end)
end
local said = redis.call('HMGET', KEYS[3], 'batches', 'chunks', 'bytes')
if ARGV[3] == '1' then
  redis.call('HSET', KEYS[3], 'batches', batches, 'chunks', chunks, 'bytes', bytes)
end
return {tonumber(said[1] or 0), tonumber(said[2] or 0), tonumber(said[3] or 0), batches, chunks,
  bytes, gone}
