-- Find documents whose content needs no work.
-- KEYS: dead letters, then documents
-- ARGV: job key prefix, reading, then for each document its id, content hash, stamp or '', and
--       position in a stream or ''
-- Returns for each {'unchanged' or 'pending', version, job}, or {} when it needs work
local reading = tonumber(ARGV[2])
local found = {}
for at = 2, #KEYS do
  local document, id, hash = KEYS[at], ARGV[4 * at - 5], ARGV[4 * at - 4]
  local stamp, position = ARGV[4 * at - 3], ARGV[4 * at - 2]
  local state = redis.call('HMGET', document, 'hash', 'wanted', 'committed', 'published',
    'units', 'failed', 'left', 'job', 'reading', 'letter', 'stamp')
  if is_promised(state, hash, ARGV[1])
    and tonumber(state[4] or 0) >= tonumber(state[5] or 0) then
    if reading > tonumber(state[9] or 0) then redis.call('HSET', document, 'reading', reading) end
    if stamp ~= '' and stamp ~= state[11] then redis.call('HSET', document, 'stamp', stamp) end
    advance_position(document, position)
    local done = state[2] == state[3]
    if done and state[10] then forgive(document, id, KEYS[1], reading) end
    found[at - 1] = {done and 'unchanged' or 'pending', state[2], state[8]}
  else
    found[at - 1] = {}
  end
end
return found
