-- Forget consumers that have nothing pending: in one step, for one that reads meanwhile would
-- lose what it has read.
-- KEYS: stream
-- ARGV: group, the consumer that ends, beginning of the names of ours, ms of silence of others
local found = redis.pcall('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])
if found.err then return 0 end
local retired = 0
for _, facts in ipairs(found) do
  local consumer = {}
  for at = 1, #facts, 2 do consumer[facts[at]] = facts[at + 1] end
  local is_ours = string.sub(consumer.name, 1, #ARGV[3]) == ARGV[3]
  local is_silent = is_ours and consumer.idle > tonumber(ARGV[4])
  if consumer.pending == 0 and (consumer.name == ARGV[2] or is_silent) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer.name)
    retired = retired + 1
  end
end
return retired
