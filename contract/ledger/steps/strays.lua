#!lua flags=allow-oom
-- Find documents that count as open though the job is through with them.
-- KEYS: open documents of the job, then documents
-- ARGV: job, 1 to mend, ids of the documents
-- Returns how many
local strays = 0
for at = 2, #KEYS do
  local state = redis.call('HMGET', KEYS[at], 'job', 'wanted', 'committed', 'withdrawn')
  local open = state[1] == ARGV[1] and state[2] ~= state[3] and state[2] ~= state[4]
  if not open and redis.call('SISMEMBER', KEYS[1], ARGV[at + 1]) == 1 then
    strays = strays + 1
    if ARGV[2] == '1' then redis.call('SREM', KEYS[1], ARGV[at + 1]) end
  end
end
return strays
