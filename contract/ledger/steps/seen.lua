-- Note that documents were listed, by the newest listing that has begun.
-- KEYS: index of the source, sources
-- ARGV: field that numbers the source's listings, document ids
local listing = redis.call('HGET', KEYS[2], ARGV[1]) or 0
for at = 2, #ARGV do
  redis.call('ZADD', KEYS[1], 'XX', 'GT', listing, ARGV[at])
end
