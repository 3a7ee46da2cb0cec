-- Take a run under a lease, with its source for itself.
-- KEYS: run, ready, leased, sources
-- ARGV: run id, run prefix, state prefix, owner, lease in ms, source's field, most crashes,
--       ms until a run is announced again whose source is busy
-- Returns {'claimed', crashes}, {'busy', the run that has the source}, {'cancelled'},
--   {'failed'} when it ended processes too often, or {'gone'}
local now = now_ms()
local run = redis.call('HMGET', KEYS[1], 'state', 'lease_end', 'parent', 'crashes')
local orphaned = run[1] == 'running' and tonumber(run[2]) <= now
if run[1] ~= 'waiting' and not orphaned then
  redis.call('ZREM', KEYS[2], ARGV[1])
  return {'gone'}
end
local crashes = tonumber(run[4] or 0) + (orphaned and 1 or 0)
redis.call('HSET', KEYS[1], 'crashes', crashes, 'source_field', ARGV[6])
if is_cancelled(ARGV[2], KEYS[1]) and redis.call('HGET', KEYS[1], 'left') ~= '0' then
  redis.call('HSET', KEYS[1], 'state', 'cancelled')
  conclude(ARGV[2], ARGV[1], KEYS[4], KEYS[2], KEYS[3], ARGV[3])
  return {'cancelled'}
end
if crashes >= tonumber(ARGV[7]) then
  redis.call('HSET', KEYS[1], 'state', 'failed', 'reason',
    'the process that ran it ended ' .. crashes .. ' times')
  conclude(ARGV[2], ARGV[1], KEYS[4], KEYS[2], KEYS[3], ARGV[3])
  return {'failed'}
end
local whole = run[3] or ARGV[1]
local holder = redis.call('HGET', KEYS[4], ARGV[6])
if holder and holder ~= whole and not is_over(redis.call('HGET', ARGV[2] .. holder, 'state')) then
  redis.call('ZADD', KEYS[2], now + tonumber(ARGV[8]), ARGV[1])
  return {'busy', holder}
end
redis.call('HSET', KEYS[4], ARGV[6], whole)
redis.call('HSETNX', KEYS[1], 'started_ms', now)
redis.call('HSET', KEYS[1], 'state', 'running', 'owner', ARGV[4],
  'lease_end', now + tonumber(ARGV[5]))
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZADD', KEYS[3], now + tonumber(ARGV[5]), ARGV[1])
return {'claimed', crashes}
