#!lua flags=no-writes
-- Find documents that need not even be read: their stamps are those of the content that is
-- wanted. One with a dead letter is to be read, for only that tells whether it is well again.
-- KEYS: documents
-- ARGV: job key prefix, then a stamp for each document
-- Returns for each {'unchanged' or 'pending', version, job}, or {} when it is to be read
local found = {}
for at = 1, #KEYS do
  local state = redis.call('HMGET', KEYS[at], 'hash', 'wanted', 'committed', 'published',
    'units', 'failed', 'left', 'job', 'stamp', 'letter')
  local same = state[1] and state[1] ~= '' and state[9] == ARGV[at + 1] and not state[10]
  if same and is_promised(state, state[1], ARGV[1])
    and tonumber(state[4] or 0) >= tonumber(state[5] or 0) then
    found[at] = {state[2] == state[3] and 'unchanged' or 'pending', state[2], state[8]}
  else
    found[at] = {}
  end
end
return found
