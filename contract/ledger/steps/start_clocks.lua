-- Let documents of which it is not known when they were seen count as seen now.
-- KEYS: index of the source
-- ARGV: the first number of a listing that is a time
-- Returns how many these were, of which it does so many at a time
local TOGETHER = 1000
local found = redis.call('ZRANGE', KEYS[1], '-inf', '(' .. ARGV[1], 'BYSCORE', 'LIMIT', 0, TOGETHER)
local seen = now_ms() - 1 -- before any listing that begins from now on
for _, id in ipairs(found) do redis.call('ZADD', KEYS[1], 'XX', seen, id) end
return #found
