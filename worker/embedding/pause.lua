-- Let nobody send anything for a while; a longer pause that is known already stays.
--
-- KEYS: the hash of reserve.lua
-- ARGV: ms
local clock = redis.call('TIME')
local till = clock[1] * 1000 + clock[2] / 1000 + tonumber(ARGV[1])
if till > tonumber(redis.call('HGET', KEYS[1], 'pause') or 0) then
  redis.call('HSET', KEYS[1], 'pause', string.format('%.0f', till))
  redis.call('PEXPIRE', KEYS[1], 600000 + tonumber(ARGV[1]))
end
