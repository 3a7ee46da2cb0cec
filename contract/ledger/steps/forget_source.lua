#!lua flags=allow-oom
-- Forget a source that has no documents. Its readings are numbered on: a deleted document is
-- remembered for a while, with the number of the reading that it was deleted by.
-- KEYS: index of the source, sources
-- ARGV: what is to go: the source, its listings, its time to live, how it was cut
-- Returns 1 when it is forgotten
if redis.call('ZCARD', KEYS[1]) > 0 then return 0 end
redis.call('HDEL', KEYS[2], unpack(ARGV))
return 1
