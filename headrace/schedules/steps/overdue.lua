-- Name runs to announce: those that wait, and those whose process has fallen silent.
-- KEYS: ready, leased
-- ARGV: run prefix, ms until one is announced again
-- Returns their ids; those of the silent can be claimed by whoever hears of them
local now = now_ms()
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now)) do
  redis.call('ZREM', KEYS[2], id)
  if redis.call('HGET', ARGV[1] .. id, 'state') == 'running' then
    redis.call('ZADD', KEYS[1], now, id)
  end
end
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 1000)
for _, id in ipairs(due) do redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), id) end
return due
