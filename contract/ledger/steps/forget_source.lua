#!lua flags=allow-oom
-- Forget a source that has no documents. Its readings are numbered on: a deleted document is
-- remembered for a while, with the number of the reading that it was deleted by.
-- KEYS: index of the source, sources
-- ARGV: source, field that numbers its listings, field of its time to live
-- Returns 1 when it is forgotten
if redis.call('ZCARD', KEYS[1]) > 0 then return 0 end
redis.call('HDEL', KEYS[2], ARGV[1], ARGV[2], ARGV[3])
return 1
