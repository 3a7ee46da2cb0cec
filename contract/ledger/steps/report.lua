-- Write values of a job, unless it is forgotten: what is written then would be kept for ever.
-- KEYS: job
-- ARGV: field, value, ...
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('HSET', KEYS[1], unpack(ARGV)) end
