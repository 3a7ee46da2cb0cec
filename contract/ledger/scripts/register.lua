-- Promise a document's content: give it a version, unless that content is promised already.
-- KEYS: document, index of its source, job
-- ARGV: document id, source, key, content hash, chunks, job, listing, job key prefix
-- Returns {outcome, version, job that promised it}; outcome: new | changed | unchanged | pending
local fields = redis.call('HMGET', KEYS[1], 'wanted', 'hash', 'units', 'published', 'failed',
  'committed', 'count', 'older', 'job', 'left', 'withdrawn', 'committed_count')
local wanted, hash = tonumber(fields[1] or 0), fields[2]
local units, published = tonumber(fields[3] or 0), tonumber(fields[4] or 0)
local failed, committed = tonumber(fields[5] or 0), tonumber(fields[6] or 0)
local promised = hash == ARGV[4] and failed == 0
if promised and committed == wanted and ARGV[5] == '0' then -- deleted, and to stay so
  redis.call('ZREM', KEYS[2], ARGV[1])
else
  redis.call('ZADD', KEYS[2], 'GT', ARGV[7], ARGV[1])
end
if promised and published >= units then
  return {committed == wanted and 'unchanged' or 'pending', wanted, fields[9]}
end
-- The same call again, because its answer was lost. Not once a part is published: the parts
-- may be cut elsewhere this time, and parts that overlap can't be counted.
if promised and published == 0 and fields[9] == ARGV[6] then
  return {committed == 0 and 'new' or 'changed', wanted, ARGV[6]}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local version = math.max(wanted + 1, now)
local older = fields[8] or ''
if wanted > 0 and wanted ~= committed then
  local ended
  if tonumber(fields[10]) <= 0 and failed == 0 then
    -- Written to its last part and only not struck off: it stands until this one is written.
    ended = 'documents_committed'
    if committed > 0 then older = older .. fields[6] .. ':' .. fields[12] .. ' ' end
    committed = wanted
    redis.call('HSET', KEYS[1], 'committed', fields[1], 'committed_count', fields[7])
  else
    -- Never to be committed, so it may have rows that only this list still knows of.
    ended = 'documents_superseded'
    older = older .. fields[1] .. ':' .. fields[7] .. ' '
  end
  local before = ARGV[8] .. fields[9]
  if fields[11] ~= fields[1] and redis.call('EXISTS', before) == 1 then
    redis.call('HINCRBY', before, ended, 1)
  end
end
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  if string.sub(field, 1, 5) == 'part:' then redis.call('HDEL', KEYS[1], field) end
end
local outcome = committed == 0 and 'new' or 'changed'
local count = tonumber(ARGV[5])
local total = math.max(count, 1)
redis.call('HSET', KEYS[1],
  'source', ARGV[2], 'key', ARGV[3], 'wanted', string.format('%d', version), 'hash', ARGV[4],
  'count', count, 'units', total, 'left', total, 'published', 0, 'failed', 0,
  'job', ARGV[6], 'older', older)
redis.call('PERSIST', KEYS[1]) -- a deleted document would be forgotten one day
redis.call('HINCRBY', KEYS[3], 'documents_' .. outcome, 1)
redis.call('HINCRBY', KEYS[3], 'chunks', count)
return {outcome, version, ARGV[6]}
