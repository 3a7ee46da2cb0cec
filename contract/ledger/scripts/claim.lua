#!lua flags=allow-oom
-- Take a batch under a lease.
-- KEYS: batch, waiting, leased
-- ARGV: batch id, owner, lease in ms
-- Returns {'claimed', payload, attempts, crashes}, or {'gone'}, {'taken'}, {'early'}
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('ZREM', KEYS[2], ARGV[1])
  redis.call('ZREM', KEYS[3], ARGV[1])
  return {'gone'}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ends = redis.call('ZSCORE', KEYS[3], ARGV[1])
local again = redis.call('HGET', KEYS[1], 'owner') == ARGV[2] -- its first answer was lost
if ends and tonumber(ends) > now and not again then return {'taken'} end
local from = redis.call('ZSCORE', KEYS[2], ARGV[1])
if from and tonumber(from) > now then return {'early'} end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZADD', KEYS[3], now + tonumber(ARGV[3]), ARGV[1])
if ends and not again then redis.call('HINCRBY', KEYS[1], 'crashes', 1) end
redis.call('HSET', KEYS[1], 'owner', ARGV[2])
local state = redis.call('HMGET', KEYS[1], 'payload', 'attempts', 'crashes')
return {'claimed', state[1], tonumber(state[2]), tonumber(state[3])}
