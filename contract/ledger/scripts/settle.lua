#!lua flags=allow-oom
-- Mark parts as written (or dead), and say what is to be done for each document.
-- Safe to repeat: a part counts once. The batch itself stays until finish.lua.
-- KEYS: a document for each part
-- ARGV: for each part: version, first, units, 1 when a chunk of it is dead
-- Returns for each part {verdict, versions}; verdict:
--   superseded  this version is not wanted and never will be: delete what this part wrote
--   open        other parts of the document are not done yet
--   commit      all parts are written: delete the rows of `versions`, then finish
--   withdraw    all parts are done, some are dead: delete the rows of `versions` (of this one
--               and of those that were never committed), then finish
--   settled     these rows are the committed ones: let them be
local verdicts = {}
for part = 1, #KEYS do
  local document, at = KEYS[part], 4 * part - 3
  local version, first, units, dead = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local state = redis.call('HMGET', document, 'wanted', 'committed', 'left', 'failed')
  local written = tonumber(state[3] or 0) <= 0 and tonumber(state[4] or 0) == 0
  if state[2] == version and (state[1] == version or not written) then
    verdicts[part] = {'settled', ''}
  elseif state[1] ~= version then
    -- Also a committed version whose successor is written: its rows are being deleted.
    verdicts[part] = {'superseded', ''}
  else
    local before = redis.call('HGET', document, 'part:' .. first)
    if before ~= 'done' then
      redis.call('HSET', document, 'part:' .. first, 'done')
      redis.call('HINCRBY', document, 'left', -tonumber(units))
      if not before then redis.call('HINCRBY', document, 'published', units) end
      if dead == '1' then redis.call('HINCRBY', document, 'failed', 1) end
    end
    local now = redis.call('HMGET', document,
      'left', 'failed', 'count', 'older', 'committed', 'committed_count')
    local versions = now[4] or ''
    if tonumber(now[1]) > 0 then
      verdicts[part] = {'open', ''}
    elseif tonumber(now[2]) > 0 then
      verdicts[part] = {'withdraw', versions .. version .. ':' .. now[3]}
    else
      if now[5] then versions = versions .. now[5] .. ':' .. now[6] end
      verdicts[part] = {'commit', versions}
    end
  end
end
return verdicts
