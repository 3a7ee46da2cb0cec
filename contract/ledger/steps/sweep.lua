#!lua flags=allow-oom
-- Take batches away from owners that have fallen silent, and name those to announce again.
-- KEYS: waiting, leased, totals
-- ARGV: batch key prefix, largest number to handle, owner to take from at once or '', grace in
--       ms, job key prefix, parked key prefix
-- Returns for each lane, live and bulk: {number taken away, number waiting that may be claimed,
--   their oldest ids}
local now = now_ms()
local lanes = {live = {0, 0, {}}, bulk = {0, 0, {}}}
local function lane_of(id)
  return lanes[redis.call('HGET', ARGV[1] .. id, 'lane')] or lanes.bulk -- an older release's
end
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
    local lane = lane_of(id)
    lane[1] = lane[1] + 1
    count_crash(batch)
    give_back(batch, id, 0, KEYS[1], KEYS[2], KEYS[3], ARGV[5], ARGV[6])
  else
    redis.call('ZREM', KEYS[2], id)
  end
end
-- All of them: producers wait before they are very many.
local waiting = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'WITHSCORES')
for at = 1, #waiting, 2 do
  local lane = lane_of(waiting[at])
  lane[2] = lane[2] + 1
  if #lane[3] < tonumber(ARGV[2]) and tonumber(waiting[at + 1]) <= now - tonumber(ARGV[4]) then
    lane[3][#lane[3] + 1] = waiting[at]
  end
end
return {lanes.live, lanes.bulk}
