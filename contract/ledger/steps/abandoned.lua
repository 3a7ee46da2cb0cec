#!lua flags=allow-oom
-- Note that the rows of given up versions are deleted.
-- KEYS: open documents of the job, job, graves, dead letters, then documents
-- ARGV: quarantine in ms, source key prefix, ids of the documents
-- Returns how many were given up by this call
local due = now_ms() + tonumber(ARGV[1])
local cancelled, committed, removed, source = 0, 0, 0, nil
for at = 5, #KEYS do
  local document, id = KEYS[at], ARGV[at - 2]
  local state = redis.call('HMGET', document, 'wanted', 'committed', 'withdrawn', 'older', 'count',
    'source')
  local given_up = state[1] == state[3]
  -- Neither: it was not abandoned before.
  if (given_up or state[1] == state[2]) and redis.call('SREM', KEYS[1], id) == 1 then
    source = state[6] or source -- a job has one
    if given_up then
      inter(KEYS[3], due, id, (state[4] or '') .. state[1] .. ':' .. state[5])
      redis.call('HSET', document, 'older', '')
      drop_marks(document)
      cancelled = cancelled + 1
    else
      conclude(document, id, ARGV[2], KEYS[4], KEYS[3], due)
      committed = committed + 1
      if state[5] == '0' then removed = removed + 1 end
    end
  end
end
count(KEYS[2], source, 'documents_cancelled', cancelled, 'documents_committed', committed)
count_removed(KEYS[2], source, removed)
return cancelled
