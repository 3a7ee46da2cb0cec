#!lua flags=allow-oom
-- Give a batch back: at once, or not before some time when an attempt has failed.
-- KEYS: batch, waiting, leased, totals
-- ARGV: batch id, owner, delay in ms, 1 when an attempt has failed, the error, job key prefix,
--       parked key prefix
-- Returns 1, or 0 when it was not this owner's any more
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[2] then return 0 end
redis.call('HINCRBY', KEYS[1], 'attempts', ARGV[4])
if ARGV[4] == '1' then redis.call('HSETNX', KEYS[1], 'first_error', ARGV[5]) end
local from = now_ms() + tonumber(ARGV[3])
give_back(KEYS[1], ARGV[1], from, KEYS[2], KEYS[3], KEYS[4], ARGV[6], ARGV[7])
return 1
