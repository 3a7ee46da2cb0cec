-- Reserve a place for one request; gives the ms to wait until it may be sent.
--
-- Two token buckets, of requests and of tokens, whose levels may fall below zero: who takes what
-- is not there yet is told when it will be, and need not ask again. An urgent request waits for
-- urgent ones alone, and pushes back the others.
--
-- KEYS: a hash: levels (r, t; of urgent requests ru, tu), time (at) and pause, in ms
-- ARGV: requests a minute, tokens a minute (0: no limit), requests, tokens, 1 if urgent, then
--       corrections: requests and tokens that were taken but not used, or used but not taken (< 0)
local clock = redis.call('TIME')
local now = clock[1] * 1000 + clock[2] / 1000
local names = {'r', 't', 'ru', 'tu'}
local held = redis.call('HMGET', KEYS[1], 'r', 't', 'ru', 'tu', 'at', 'pause')
local at = tonumber(held[5] or now)
local wait = math.max(0, tonumber(held[6] or 0) - now)
local urgent = ARGV[5] == '1'
for i, name in ipairs(names) do
  local kind = (i - 1) % 2 + 1
  local rate = tonumber(ARGV[kind]) / 60000
  if rate > 0 then
    local most = rate * 500
    local level = tonumber(held[i] or most) + (now - at) * rate
    level = math.min(most, level + (i <= 2 and tonumber(ARGV[5 + kind]) or 0))
    local of_urgent = i > 2
    if urgent or not of_urgent then
      level = level - tonumber(ARGV[2 + kind])
      if of_urgent == urgent then
        wait = math.max(wait, -level / rate)
      end
    end
    redis.call('HSET', KEYS[1], name, string.format('%.3f', level))
  end
end
redis.call('HSET', KEYS[1], 'at', string.format('%.3f', now))
redis.call('PEXPIRE', KEYS[1], 600000 + math.ceil(wait))
return math.ceil(wait)
