-- Promise a document's content: give it a version, unless that content is promised already.
-- KEYS: document, index of its source, job, open documents of the job, sources, meta, twins,
--       dead letters
-- ARGV: document id, source, key, content hash, chunks, job, field that numbers the source's
--       listings, job key prefix, open key prefix, reading, unseen since, 1 for only if wanted,
--       missing chunks, stamp or '', position in a stream or ''
-- Returns {outcome, version, job that promised it, twin}
local id, hash, chunks = ARGV[1], ARGV[4], tonumber(ARGV[5])
local reading, unseen = tonumber(ARGV[10]), tonumber(ARGV[11])
local fields = redis.call('HMGET', KEYS[1], 'hash', 'wanted', 'committed', 'published', 'units',
  'failed', 'left', 'job', 'count', 'withdrawn', 'reading', 'position')
local wanted, published = tonumber(fields[2] or 0), tonumber(fields[4] or 0)
local latest = tonumber(fields[11] or 0)
local same, done = fields[1] == hash, fields[2] == fields[3]

local seen = unseen > 0 and redis.call('ZSCORE', KEYS[2], id)
if redis.call('HGET', KEYS[3], 'halt') == 'cancelled'
  or (seen and tonumber(seen) >= unseen)
  or (ARGV[12] == '1' and not same)
  or (not same and ARGV[15] == '' and reading > 0 and latest > reading)
  or (not same and ARGV[15] ~= '' and is_later(fields[12], ARGV[15])) then
  return {'outdated', wanted, fields[8] or '', ''}
end

advance_position(KEYS[1], ARGV[15])
-- To delete a document is not to see it.
if chunks > 0 then
  redis.call('ZADD', KEYS[2], 'GT', redis.call('HGET', KEYS[5], ARGV[7]) or 0, id)
end
local promised = is_promised(fields, hash, ARGV[8])
if promised and published >= tonumber(fields[5] or 0) then
  if reading > latest then redis.call('HSET', KEYS[1], 'reading', reading) end
  if ARGV[14] ~= '' then redis.call('HSET', KEYS[1], 'stamp', ARGV[14]) end
  if not done then return {'pending', wanted, fields[8], ''} end
  if chunks == 0 then retire(KEYS[1], id, KEYS[2], KEYS[8])
  else forgive(KEYS[1], id, KEYS[8], reading) end
  return {'unchanged', wanted, fields[8], ''}
end

-- The same call again, because its answer was lost. Not once a part is published: the parts
-- may be cut elsewhere this time, and parts that overlap can't be counted.
local again = promised and published == 0 and fields[8] == ARGV[6]
local version = wanted
if not again then
  version = math.max(wanted + 1, now_ms())
  if wanted > 0 then
    local ended = 'documents_committed'
    if not done and tonumber(fields[7]) <= 0 and tonumber(fields[6]) == 0 then
      -- Written to its last part and only not struck off: it stands until this one is written.
      advance(KEYS[1], id, KEYS[7])
    elseif not done then
      -- Never to be committed, so it may have rows that only this list still knows of.
      local older = redis.call('HGET', KEYS[1], 'older') or ''
      redis.call('HSET', KEYS[1], 'older', older .. fields[2] .. ':' .. fields[9] .. ' ')
      ended = fields[10] == fields[2] and 'documents_cancelled' or 'documents_superseded'
    end
    if redis.call('SREM', ARGV[9] .. fields[8], id) == 1 then
      count(ARGV[8] .. fields[8], ARGV[2], ended, 1)
      if ended == 'documents_committed' and fields[9] == '0' then
        count_removed(ARGV[8] .. fields[8], ARGV[2], 1)
      end
    end
  else
    redis.call('HSET', KEYS[1], 'older', '')
  end
  drop_marks(KEYS[1])
  local units = math.max(chunks, 1)
  redis.call('HSET', KEYS[1],
    'source', ARGV[2], 'key', ARGV[3], 'wanted', string.format('%d', version), 'hash', hash,
    'count', chunks, 'units', units, 'left', units, 'published', 0, 'failed', 0,
    'job', ARGV[6], 'missing', ARGV[13], 'reading', math.max(reading, latest),
    'stamp', ARGV[14])
  redis.call('PERSIST', KEYS[1]) -- a deleted document would be forgotten one day
  -- Where the ledger was lost, rows may stand in Milvus that nothing here knows of.
  if wanted == 0 and redis.call('HGET', KEYS[6], 'built') ~= '1' then
    redis.call('HSET', KEYS[1], 'unknown_older', 1)
  end
  redis.call('SADD', KEYS[4], id)
end

local outcome, twin = 'changed', ''
if chunks == 0 then
  outcome = 'deleted'
elseif tonumber(redis.call('HGET', KEYS[1], 'committed_count') or 0) == 0 then
  outcome, twin = 'new', redis.call('HGET', KEYS[7], hash) or ''
end
if not again then count(KEYS[3], ARGV[2], 'documents_' .. outcome, 1, 'chunks', chunks) end
return {outcome, version, ARGV[6], twin}
