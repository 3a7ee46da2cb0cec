#!lua flags=no-writes
-- Read what there is to tell of a collection, as one value that costs little to take apart.
-- KEYS: waiting, leased, totals, jobs, counters, dead letters, their counts, sources, usage of today
-- ARGV: batch key prefix, job key prefix, parked key prefix, source key prefix, ms since which new
--       jobs began, most of these, then jobs to read again
-- Returns, as msgpack, {now in ms, {batches, chunks, bytes as the totals say}, for live and bulk
--   {waiting, resting, leased, parked, age in ms of the oldest that is not parked}, counters,
--   number of dead letters, their counts, {source, documents, ...}, usage, {job, fields, ...}};
--   what is a hash comes as {field, value, ...}
local now = now_ms()

local jobs, known, paused = {}, {}, {}
local function read_job(id)
  local fields = redis.call('HGETALL', ARGV[2] .. id)
  if known[id] or #fields == 0 then return end
  known[id] = true
  jobs[#jobs + 1] = id
  jobs[#jobs + 1] = fields
  if redis.call('HGET', ARGV[2] .. id, 'halt') == 'paused' then paused[#paused + 1] = id end
end
local newest = redis.call('ZRANGE', KEYS[4], '+inf', ARGV[5], 'BYSCORE', 'REV', 'LIMIT', 0, ARGV[6])
for _, id in ipairs(newest) do read_job(id) end
for at = 7, #ARGV do read_job(ARGV[at]) end

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
for _, job in ipairs(paused) do
  for _, id in ipairs(redis.call('SMEMBERS', ARGV[3] .. job)) do add(id, 4) end
end

local sources, seen = {}, {}
for _, field in ipairs(redis.call('HKEYS', KEYS[8])) do
  local name, kind = string.match(field, '^([^%z]*)%z?(.*)$')
  if kind ~= 'reading' and not seen[name] then
    seen[name] = true
    sources[#sources + 1] = name
    sources[#sources + 1] = redis.call('ZCARD', ARGV[4] .. name)
  end
end

local said = redis.call('HMGET', KEYS[3], 'batches', 'chunks', 'bytes')
return cmsgpack.pack({
  now, {tonumber(said[1] or 0), tonumber(said[2] or 0), tonumber(said[3] or 0)},
  lanes.live, lanes.bulk,
  redis.call('HGETALL', KEYS[5]), redis.call('HLEN', KEYS[6]), redis.call('HGETALL', KEYS[7]),
  sources, redis.call('HGETALL', KEYS[9]), jobs,
})
