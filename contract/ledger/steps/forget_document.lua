#!lua flags=allow-oom
-- Forget a document of which the ledger knows no version, only that there were rows of it.
-- KEYS: document, index of its source
-- ARGV: document id
if redis.call('HEXISTS', KEYS[1], 'wanted') == 1 then return 0 end
redis.call('ZREM', KEYS[2], ARGV[1])
return redis.call('DEL', KEYS[1])
