#!lua flags=allow-oom
-- Take a batch under a lease.
-- KEYS: batch, waiting, leased, totals
-- ARGV: batch id, owner, lease in ms, job key prefix, parked key prefix
-- Returns {'claimed', payload, attempts, crashes, alone crashes, first error, ms since it was
--   first published, ms for which it could have been claimed}, each -1 where that is not known;
--   or {'gone'}, {'taken'}, {'early'}, {'paused'}, {'cancelled'}
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('ZREM', KEYS[2], ARGV[1])
  redis.call('ZREM', KEYS[3], ARGV[1])
  return {'gone'}
end
local now = now_ms()
local ends = redis.call('ZSCORE', KEYS[3], ARGV[1])
local batch = redis.call('HMGET', KEYS[1], 'owner', 'job')
local again = batch[1] == ARGV[2] -- its first answer was lost
if ends and not again then
  if tonumber(ends) > now then return {'taken'} end
  count_crash(KEYS[1])
end
local halt = redis.call('HGET', ARGV[4] .. batch[2], 'halt')
if halt == 'cancelled' or halt == 'paused' then
  give_back(KEYS[1], ARGV[1], 0, KEYS[2], KEYS[3], KEYS[4], ARGV[4], ARGV[5])
  return {halt}
end
local from = redis.call('ZSCORE', KEYS[2], ARGV[1])
if from and tonumber(from) > now then return {'early'} end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('SREM', ARGV[5] .. batch[2], ARGV[1])
redis.call('ZADD', KEYS[3], now + tonumber(ARGV[3]), ARGV[1])
redis.call('HSET', KEYS[1], 'owner', ARGV[2])
local state = redis.call('HMGET', KEYS[1], 'payload', 'attempts', 'crashes', 'alone_crashes',
  'first_error', 'published_ms')
-- 0: given back by whoever found its owner silent, or by a split.
local waited = from and tonumber(from) > 0 and now - tonumber(from) or -1
return {'claimed', state[1], tonumber(state[2]), tonumber(state[3]), tonumber(state[4]),
  state[5] or '', state[6] and now - tonumber(state[6]) or -1, waited}
