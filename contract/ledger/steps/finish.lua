#!lua flags=allow-oom
-- Commit documents, count, and strike the batch off: one step, and only once.
-- KEYS: batch, waiting, leased, totals, job, dead letters, graves, twins, then a document for
--       each part
-- ARGV: batch id, chunks written, tokens, chunks reused, document key prefix, source key prefix,
--       open key prefix, job key prefix, quarantine in ms, chunks from the cache, tokens saved,
--       usage key prefix, then for each part version, verdict
-- Returns 1, or 0 when the batch had been struck off before
local DAY_MS = 24 * 3600 * 1000
local USAGE_KEPT_MS = 7 * DAY_MS -- far longer than a producer's clock may be wrong
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local due = now_ms() + tonumber(ARGV[9])
local committed, removed, withdrawn = 0, 0, 0
for part = 1, #KEYS - 8 do
  local document = KEYS[part + 8]
  local version, verdict = ARGV[2 * part + 11], ARGV[2 * part + 12]
  local id = string.sub(document, #ARGV[5] + 1)
  local state = redis.call('HMGET', document, 'wanted', 'committed', 'withdrawn', 'older',
    'count', 'job')
  if state[1] == version and state[2] ~= version and state[3] ~= version then
    if verdict == 'commit' then
      advance(document, id, KEYS[8])
      conclude(document, id, ARGV[6], KEYS[6], KEYS[7], due)
      redis.call('HDEL', document, 'unknown_older')
      committed = committed + 1
      if state[5] == '0' then removed = removed + 1 end
    elseif verdict == 'withdraw' then
      inter(KEYS[7], due, id, (state[4] or '') .. version .. ':' .. state[5])
      redis.call('HSET', document, 'withdrawn', version, 'older', '')
      drop_marks(document)
      withdrawn = withdrawn + 1
    end
    if verdict == 'commit' or verdict == 'withdraw' then
      redis.call('SREM', ARGV[7] .. state[6], id)
    end
  end
end
local source = redis.call('HGET', KEYS[5], 'source')
  or (KEYS[9] and redis.call('HGET', KEYS[9], 'source'))
if source and tonumber(ARGV[3]) > 0 then
  local usage = ARGV[12] .. string.format('%d', math.floor(now_ms() / DAY_MS))
  redis.call('HINCRBY', usage, source, ARGV[3])
  redis.call('PEXPIRE', usage, USAGE_KEPT_MS)
end
strike_off(KEYS[1], ARGV[1], KEYS[2], KEYS[3], KEYS[4], ARGV[8])
count(KEYS[5], source, 'chunks_written', ARGV[2], 'chunks_reused', ARGV[4], 'tokens', ARGV[3],
  'chunks_cached', ARGV[10], 'tokens_saved', ARGV[11],
  'documents_committed', committed, 'documents_failed', withdrawn)
count_removed(KEYS[5], source, removed)
return 1
