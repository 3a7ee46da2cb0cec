#!lua flags=allow-oom
-- Mark parts as written (or dead), and say what is to be done for each document.
-- Safe to repeat: a part counts once. The batch itself stays until finish.lua.
-- KEYS: a document for each part
-- ARGV: for each part: version, first, units, record of its death or ''
-- Returns for each part {verdict, versions, 1 when rows of older versions may be unknown, 1 when
--   the dead letter of this version is written, deaths...}; verdict:
--   superseded  this version is not wanted and never will be: delete what this part wrote
--   open        other parts of the document are not done yet
--   commit      all parts are written: delete the rows of `versions`, then finish
--   withdraw    all parts are done, some are dead: delete the rows of `versions` (of this one
--               and of those that were never committed), then finish
--   settled     these rows are the committed ones: let them be
local verdicts = {}
for part = 1, #KEYS do
  local document, at = KEYS[part], 4 * part - 3
  local version, first, units, death = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local state = redis.call('HMGET', document, 'wanted', 'committed', 'left', 'failed',
    'withdrawn')
  local written = tonumber(state[3] or 0) <= 0 and tonumber(state[4] or 0) == 0
  if state[2] == version and (state[1] == version or not written) then
    verdicts[part] = {'settled', '', 0, 0}
  elseif state[1] ~= version or state[5] == version then
    -- Also a committed version whose successor is written: its rows are being deleted.
    verdicts[part] = {'superseded', '', 0, 0}
  else
    local before = redis.call('HGET', document, 'part:' .. first)
    -- Other units: it was split meanwhile, and counts by its pieces.
    if before ~= 'done' and (not before or before == units) then
      redis.call('HSET', document, 'part:' .. first, 'done')
      redis.call('HINCRBY', document, 'left', -tonumber(units))
      if not before then redis.call('HINCRBY', document, 'published', units) end
      if death ~= '' then
        redis.call('HINCRBY', document, 'failed', 1)
        redis.call('HSET', document, 'death:' .. first, death)
      end
    end
    local now = redis.call('HMGET', document, 'left', 'failed', 'count', 'older', 'committed',
      'committed_count', 'unknown_older', 'lettered')
    local versions = now[4] or ''
    if tonumber(now[1]) > 0 then
      verdicts[part] = {'open', '', 0, 0}
    elseif tonumber(now[2]) > 0 then
      local kept = now[8] == version and 1 or 0
      verdicts[part] = {'withdraw', versions .. version .. ':' .. now[3], 0, kept}
      if kept == 0 then
        local fields = redis.call('HGETALL', document)
        for field = 1, #fields, 2 do
          if string.sub(fields[field], 1, 6) == 'death:' then
            table.insert(verdicts[part], fields[field + 1])
          end
        end
      end
    else
      if now[5] then versions = versions .. now[5] .. ':' .. now[6] end
      verdicts[part] = {'commit', versions, tonumber(now[7] or 0), 0}
    end
  end
end
return verdicts
