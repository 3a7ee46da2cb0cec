#!lua flags=allow-oom
-- Forget the dead letter of a document, unless a newer one has taken its place.
-- KEYS: dead letters, document
-- ARGV: document id, version that the letter is about, ms of the letter
-- Returns 1 when it was forgotten
local letter = redis.call('HMGET', KEYS[2], 'letter', 'letter_ms')
-- A document that is not known any more has no newer one.
if letter[1] and (letter[1] ~= ARGV[2] or letter[2] ~= ARGV[3]) then return 0 end
redis.call('HDEL', KEYS[2], 'letter', 'letter_ms', 'letter_reading')
if redis.call('HDEL', KEYS[1], ARGV[1]) == 0 then return 0 end
drop_reason(KEYS[1], ARGV[1])
return 1
