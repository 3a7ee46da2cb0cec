-- Cut a run into shards, which any process may claim; the last of them has it gathered.
-- KEYS: run, ready, leased
-- ARGV: run id, owner, run prefix, shards, listing, documents known before it
-- Returns 1, or 0 when it was not this owner's any more
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[2] then return 0 end
local run = redis.call('HMGET', KEYS[1], 'schedule', 'definition', 'source_field')
local now = now_ms()
redis.call('HSET', KEYS[1], 'state', 'scattered', 'owner', '', 'left', ARGV[4],
  'listing', ARGV[5], 'known', ARGV[6])
redis.call('ZREM', KEYS[3], ARGV[1])
for shard = 0, tonumber(ARGV[4]) - 1 do
  local id = ARGV[1] .. '/' .. shard
  redis.call('HSET', ARGV[3] .. id, 'schedule', run[1], 'definition', run[2], 'source_field',
    run[3], 'state', 'waiting', 'parent', ARGV[1], 'shard', shard, 'listing', ARGV[5],
    'known', ARGV[6], 'created_ms', now)
  redis.call('ZADD', KEYS[2], now, id)
end
return 1
