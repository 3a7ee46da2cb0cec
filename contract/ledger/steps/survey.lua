#!lua flags=no-writes
-- Count the unfinished batches by lane and by whose turn it is, and find the oldest.
-- KEYS: waiting, leased, totals, then the parked batches of each paused job
-- ARGV: batch key prefix
-- Returns {batches, chunks, bytes as the totals say}, then for each lane, live and bulk: {waiting
--   that may be claimed, resting until their next attempt, leased, parked, age in ms of the oldest
--   that is not parked}
local said = redis.call('HMGET', KEYS[3], 'batches', 'chunks', 'bytes')
local now = now_ms()
local lanes = {live = {0, 0, 0, 0, 0}, bulk = {0, 0, 0, 0, 0}}

local function add(id, state)
  local batch = redis.call('HMGET', ARGV[1] .. id, 'lane', 'published_ms')
  local lane = lanes[batch[1]] or lanes.bulk -- an older release's
  lane[state] = lane[state] + 1
  if state ~= 4 then lane[5] = math.max(lane[5], now - tonumber(batch[2] or now)) end
end

local waiting = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
for at = 1, #waiting, 2 do add(waiting[at], tonumber(waiting[at + 1]) > now and 2 or 1) end
for _, id in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do add(id, 3) end
for at = 4, #KEYS do
  for _, id in ipairs(redis.call('SMEMBERS', KEYS[at])) do add(id, 4) end
end
return {{tonumber(said[1] or 0), tonumber(said[2] or 0), tonumber(said[3] or 0)},
  lanes.live, lanes.bulk}
