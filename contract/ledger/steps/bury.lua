#!lua flags=allow-oom
-- Keep the dead letter of a document, unless its version is not the one that is wanted.
-- KEYS: dead letters, document, index of its source, sources
-- ARGV: document id, version (0: it never became chunks), record, ms of the letter, source, key,
--       field that numbers the source's listings, field that numbers its readings, reason
-- Returns 1 when it was kept
local state = redis.call('HMGET', KEYS[2], 'wanted', 'committed', 'lettered', 'letter')
local is_news = true
if ARGV[2] ~= '0' then
  if state[1] ~= ARGV[2] or state[2] == ARGV[2] then return 0 end
  -- The first one stays: whoever comes later may not find the rows that it is made of.
  if state[3] == ARGV[2] then return 0 end
  redis.call('HSET', KEYS[2], 'lettered', ARGV[2])
else
  -- Once it vanishes from its source, it has to be missed: else the letter stays for ever.
  redis.call('ZADD', KEYS[3], 'GT', redis.call('HGET', KEYS[4], ARGV[7]) or 0, ARGV[1])
  redis.call('HSET', KEYS[2], 'source', ARGV[5], 'key', ARGV[6])
  redis.call('PERSIST', KEYS[2])
  -- Each listing finds again what can't be read.
  is_news = state[4] ~= '0' or redis.call('HGET', KEYS[1] .. ':reasons', ARGV[1]) ~= ARGV[9]
end
note_reason(KEYS[1], ARGV[1], ARGV[9], is_news)
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('HSET', KEYS[2], 'letter', ARGV[2], 'letter_ms', ARGV[4],
  'letter_reading', redis.call('HGET', KEYS[4], ARGV[8]) or 0)
return 1
