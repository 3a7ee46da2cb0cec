#!lua flags=allow-oom
-- Take batches away from owners that have fallen silent, and name those to announce again.
-- KEYS: waiting, leased, totals
-- ARGV: batch key prefix, largest number to handle, owner to take from at once or '', grace in
--       ms, job key prefix, parked key prefix
-- Returns {number taken away, number waiting that may be claimed, their oldest ids}
local now = now_ms()
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
  local batch = ARGV[1] .. id
  if redis.call('EXISTS', batch) == 1 then
    count_crash(batch)
    give_back(batch, id, 0, KEYS[1], KEYS[2], KEYS[3], ARGV[5], ARGV[6])
  else
    redis.call('ZREM', KEYS[2], id)
  end
end
local due = redis.call('ZCOUNT', KEYS[1], '-inf', now)
local oldest = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[4]),
  'LIMIT', 0, ARGV[2])
return {#silent, due, oldest}
