#!lua flags=allow-oom
-- Take batches away from owners that have fallen silent, and name those to announce again.
-- KEYS: waiting, leased
-- ARGV: batch key prefix, largest number to handle, owner to take from at once or '', grace in ms
-- Returns {number taken away, number waiting that may be claimed, their oldest ids}
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local silent
if ARGV[3] == '' then
  silent = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, ARGV[2])
else
  silent = {}
  for _, id in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
    local owner = redis.call('HGET', ARGV[1] .. id, 'owner')
    if owner and string.sub(owner, 1, #ARGV[3]) == ARGV[3] then silent[#silent + 1] = id end
  end
end
for _, id in ipairs(silent) do
  redis.call('ZREM', KEYS[2], id)
  if redis.call('EXISTS', ARGV[1] .. id) == 1 then
    redis.call('HDEL', ARGV[1] .. id, 'owner')
    redis.call('HINCRBY', ARGV[1] .. id, 'crashes', 1)
    redis.call('ZADD', KEYS[1], 0, id)
  end
end
local due = redis.call('ZCOUNT', KEYS[1], '-inf', now)
local oldest = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[4]),
  'LIMIT', 0, ARGV[2])
return {#silent, due, oldest}
