#!lua flags=allow-oom
-- Commit documents, count, and strike the batch off: one step, and only once.
-- KEYS: batch, waiting, leased, totals, job, dead letters, then a document for each part
-- ARGV: batch id, chunks written, tokens, document key prefix, source key prefix, number of
--       dead letters, then for each part version, verdict; then for each dead letter its id,
--       its record, the number of its part
-- Returns 1, or 0 when the batch had been struck off before
local DELETED_KEPT_MS = 7 * 24 * 3600 * 1000 -- far longer than a worker or a listing may be late
local parts = #KEYS - 6
local committed, withdrawn = 0, 0

local function commit(document, version, count)
  redis.call('HSET', document, 'committed', version, 'committed_count', count, 'older', '')
  for _, field in ipairs(redis.call('HKEYS', document)) do
    if string.sub(field, 1, 5) == 'part:' then redis.call('HDEL', document, field) end
    if string.sub(field, 1, 7) == 'letter:' then -- of versions that this one replaces
      redis.call('HDEL', document, field)
      redis.call('HDEL', KEYS[6], string.sub(field, 8))
    end
  end
end

local function forget(document)
  local source = redis.call('HGET', document, 'source')
  redis.call('ZREM', ARGV[5] .. source, string.sub(document, #ARGV[4] + 1))
  redis.call('PEXPIRE', document, DELETED_KEPT_MS)
end

if redis.call('EXISTS', KEYS[1]) == 1 then
  for part = 1, parts do
    local document = KEYS[part + 6]
    local version, verdict = ARGV[2 * part + 5], ARGV[2 * part + 6]
    local state = redis.call('HMGET', document, 'wanted', 'committed', 'count', 'withdrawn')
    if state[1] == version and state[2] ~= version then
      if verdict == 'commit' then
        commit(document, version, state[3])
        if state[3] == '0' then forget(document) end
        committed = committed + 1
      elseif verdict == 'withdraw' and state[4] ~= version then
        redis.call('HSET', document, 'withdrawn', version, 'older', '')
        withdrawn = withdrawn + 1
      end
    end
  end
end
-- Before the return: the letters of one who is late are the only ones of what it found dead.
for letter = 1, tonumber(ARGV[6]) do
  local at = 6 + 2 * parts + 3 * letter - 2
  local part = tonumber(ARGV[at + 2])
  local state = redis.call('HMGET', KEYS[part + 6], 'wanted', 'committed')
  if state[1] == ARGV[2 * part + 5] and state[2] ~= state[1] then
    redis.call('HSET', KEYS[6], ARGV[at], ARGV[at + 1])
    redis.call('HSET', KEYS[part + 6], 'letter:' .. ARGV[at], '')
  end
end
local state = redis.call('HMGET', KEYS[1], 'chunks', 'bytes')
if redis.call('DEL', KEYS[1]) == 0 then return 0 end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('HINCRBY', KEYS[4], 'batches', -1)
redis.call('HINCRBY', KEYS[4], 'chunks', -tonumber(state[1]))
redis.call('HINCRBY', KEYS[4], 'bytes', -tonumber(state[2]))
if redis.call('EXISTS', KEYS[5]) == 1 then -- else the job is forgotten already
  local time = redis.call('TIME')
  redis.call('HSET', KEYS[5], 'finished_ms', time[1] * 1000 + math.floor(time[2] / 1000))
  redis.call('HINCRBY', KEYS[5], 'batches_finished', 1)
  redis.call('HINCRBY', KEYS[5], 'chunks_written', ARGV[2])
  redis.call('HINCRBY', KEYS[5], 'tokens', ARGV[3])
  redis.call('HINCRBY', KEYS[5], 'documents_committed', committed)
  redis.call('HINCRBY', KEYS[5], 'documents_failed', withdrawn)
end
return 1
