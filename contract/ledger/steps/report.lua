-- Write values of a job, unless it is forgotten: what is written then would be kept for ever.
-- Counters only rise, so that a report that comes late or twice changes nothing; what they rise
-- by counts for the source as well.
-- KEYS: job
-- ARGV: field, value, ...
local source = redis.call('HGET', KEYS[1], 'source')
if not source then return end
for at = 1, #ARGV, 2 do
  local field, value = ARGV[at], ARGV[at + 1]
  if field == 'source_bytes' or string.sub(field, 1, 10) == 'documents_' then
    local more = tonumber(value) - tonumber(redis.call('HGET', KEYS[1], field) or 0)
    if more >= 0 then
      redis.call('HSET', KEYS[1], field, value)
      count_of_source(KEYS[1], source, field, more)
    end
  else
    redis.call('HSET', KEYS[1], field, value)
  end
end
