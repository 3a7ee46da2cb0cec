#!lua flags=allow-oom
-- Have a document read again, because its rows are not what they should be. Until its next
-- version is committed, everything else stays as it is.
-- KEYS: document
-- ARGV: version that was wanted, version that was committed, when the caller looked
-- Returns 1, or 0 when its state has changed since
local state = redis.call('HMGET', KEYS[1], 'wanted', 'committed')
if state[1] ~= ARGV[1] or (state[2] or '0') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], 'hash', '', 'stamp', '')
return 1
