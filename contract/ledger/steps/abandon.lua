#!lua flags=allow-oom
-- Give up the versions that a cancelled job has promised and not brought to their end.
-- KEYS: open documents of the job, twins, then documents
-- ARGV: ids of the documents
-- Returns for each document {versions whose rows are to be deleted as '<version>:<count> ...',
--   a version whose unknown older rows are to be deleted as well, or '0'}
local found = {}
for at = 3, #KEYS do
  local document, id = KEYS[at], ARGV[at - 2]
  local state = redis.call('HMGET', document, 'wanted', 'committed', 'left', 'failed', 'count')
  if redis.call('SISMEMBER', KEYS[1], id) == 0 then
    found[at - 2] = {'', '0'} -- through by now, or another job's
  elseif state[1] == state[2] or (tonumber(state[3]) <= 0 and tonumber(state[4]) == 0) then
    -- Written to its last part and only not struck off: the old rows may be gone already.
    if state[1] ~= state[2] then advance(document, id, KEYS[2]) end
    local now = redis.call('HMGET', document, 'older', 'unknown_older')
    found[at - 2] = {now[1] or '', now[2] and state[1] or '0'}
  else
    redis.call('HSET', document, 'withdrawn', state[1], 'failed', 1)
    found[at - 2] = {(redis.call('HGET', document, 'older') or '') .. state[1] .. ':' .. state[5], '0'}
  end
end
return found
