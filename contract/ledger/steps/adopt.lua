-- Enter a document that Milvus holds and the ledger has lost; never over one that is known.
-- KEYS: document, index of its source, sources, twins
-- ARGV: document id, source, key, field that numbers the source's listings, content hash,
--       version (0: no version of it is whole), chunks, 1 when there are rows of other versions
-- Returns 1 when it was entered
local version, known = ARGV[6], redis.call('HMGET', KEYS[1], 'wanted', 'source')
if known[1] then return 0 end
if version == '0' and known[2] then return 0 end
redis.call('HSETNX', KEYS[3], ARGV[4], 0)
-- Not seen by any listing: where the source has it no more, the next one deletes it.
redis.call('ZADD', KEYS[2], 'NX', 0, ARGV[1])
redis.call('HSET', KEYS[1], 'source', ARGV[2], 'key', ARGV[3])
if ARGV[8] == '1' then redis.call('HSET', KEYS[1], 'unknown_older', 1) end
if version == '0' then return 1 end
redis.call('HSET', KEYS[1], 'wanted', version, 'hash', ARGV[5], 'count', ARGV[7],
  'units', ARGV[7], 'published', ARGV[7], 'left', 0, 'failed', 0, 'job', '', 'older', '',
  'missing', 0, 'reading', 0, 'committed', version, 'committed_count', ARGV[7],
  'committed_hash', ARGV[5])
redis.call('HSET', KEYS[4], ARGV[5], ARGV[1])
return 1
