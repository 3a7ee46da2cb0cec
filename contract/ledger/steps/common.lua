-- What several steps do alike; it stands before each of them.

local DELETED_KEPT_MS = 7 * 24 * 3600 * 1000 -- far longer than a worker or a listing may be late

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Count for a job, unless it is forgotten: counters of its own would be kept for ever.
local function count_of_job(job, ...)
  if redis.call('EXISTS', job) == 0 then return end
  local pairs_of = {...}
  for at = 1, #pairs_of, 2 do redis.call('HINCRBY', job, pairs_of[at], pairs_of[at + 1]) end
end

-- Count for a source, for ever: these never fall, whatever jobs are forgotten.
local function count_of_source(job, source, ...)
  local counters = string.match(job, '^.-}:') .. 'counters'
  local pairs_of = {...}
  for at = 1, #pairs_of, 2 do
    local more = tonumber(pairs_of[at + 1])
    if more > 0 then redis.call('HINCRBY', counters, pairs_of[at] .. '\0' .. source, more) end
  end
end

-- Count for a job and for its source; of a forgotten job for the source that is given.
local function count(job, source, ...)
  local known = redis.call('HGET', job, 'source')
  if known then
    local pairs_of = {...}
    for at = 1, #pairs_of, 2 do redis.call('HINCRBY', job, pairs_of[at], pairs_of[at + 1]) end
  end
  source = known or source
  if source then count_of_source(job, source, ...) end
end

-- Committed deletions are counted apart as well, once there are any.
local function count_removed(job, source, removed)
  if removed > 0 then count(job, source, 'documents_removed', removed) end
end

-- The reasons of dead letters, one for each letter, and how many there are and ever were.
local function drop_reason(dead, id)
  local reason = redis.call('HGET', dead .. ':reasons', id)
  if not reason then return end -- an older release's
  redis.call('HDEL', dead .. ':reasons', id)
  redis.call('HINCRBY', dead .. ':counts', 'now\0' .. reason, -1)
end

local function note_reason(dead, id, reason, is_news)
  drop_reason(dead, id)
  redis.call('HSET', dead .. ':reasons', id, reason)
  redis.call('HINCRBY', dead .. ':counts', 'now\0' .. reason, 1)
  if is_news then redis.call('HINCRBY', dead .. ':counts', 'written\0' .. reason, 1) end
end

-- A batch is through, or nobody is to work at it any more.
local function strike_off(batch, id, waiting, leased, totals, jobs)
  local state = redis.call('HMGET', batch, 'job', 'chunks', 'bytes')
  redis.call('DEL', batch)
  redis.call('ZREM', waiting, id)
  redis.call('ZREM', leased, id)
  redis.call('HINCRBY', totals, 'batches', -1)
  redis.call('HINCRBY', totals, 'chunks', -tonumber(state[2]))
  redis.call('HINCRBY', totals, 'bytes', -tonumber(state[3]))
  local job = jobs .. state[1]
  if redis.call('EXISTS', job) == 1 then
    redis.call('HSET', job, 'finished_ms', now_ms())
    redis.call('HINCRBY', job, 'batches_finished', 1)
  end
end

-- A batch that nobody has any more waits from a time on, or fares as its job is to fare.
local function give_back(batch, id, from, waiting, leased, totals, jobs, parked)
  local job = redis.call('HGET', batch, 'job')
  if not job then return end
  local halt = redis.call('HGET', jobs .. job, 'halt')
  if halt == 'cancelled' then return strike_off(batch, id, waiting, leased, totals, jobs) end
  redis.call('HDEL', batch, 'owner')
  redis.call('ZREM', leased, id)
  if halt == 'paused' then
    redis.call('ZREM', waiting, id)
    redis.call('SADD', parked .. job, id)
  else
    redis.call('ZADD', waiting, from, id)
  end
end

-- The owner of a batch has fallen silent.
local function count_crash(batch)
  local state = redis.call('HMGET', batch, 'owner', 'alone')
  redis.call('HINCRBY', batch, 'crashes', 1)
  if state[1] and state[1] == state[2] then redis.call('HINCRBY', batch, 'alone_crashes', 1) end
end

-- What is deleted now is deleted once more: a worker that was stopped may still write it.
local function inter(graves, due, id, versions)
  for version, chunks in string.gmatch(versions, '(%d+):(%d+)') do
    if chunks ~= '0' then
      redis.call('ZADD', graves, due, id .. ' ' .. version .. ' ' .. chunks)
    end
  end
end

local function drop_marks(document)
  for _, field in ipairs(redis.call('HKEYS', document)) do
    local kind = string.sub(field, 1, 6)
    if string.sub(kind, 1, 5) == 'part:' or kind == 'death:' then
      redis.call('HDEL', document, field)
    end
  end
end

-- The wanted version is written to its last part: it takes the place of the committed one,
-- whose rows are still to be deleted.
local function advance(document, id, twins)
  local state = redis.call('HMGET', document, 'wanted', 'count', 'hash', 'committed',
    'committed_count', 'committed_hash', 'older')
  local older = state[7] or ''
  if state[4] then
    if state[5] ~= '0' then older = older .. state[4] .. ':' .. state[5] .. ' ' end
    if state[6] and redis.call('HGET', twins, state[6]) == id then
      redis.call('HDEL', twins, state[6])
    end
  end
  redis.call('HSET', document, 'committed', state[1], 'committed_count', state[2],
    'committed_hash', state[3], 'older', older)
  if state[2] ~= '0' then redis.call('HSET', twins, state[3], id) end
end

-- Whether one place in a stream ('<ms>-<sequence>') comes after another; none is before all.
-- Their numbers have 64 bits, which a number of Lua's does not hold.
local function is_later(position, other)
  local ms, sequence = string.match(position or '', '^(%d+)-(%d+)$')
  if not ms then return false end
  local other_ms, other_sequence = string.match(other or '', '^(%d+)-(%d+)$')
  if not other_ms then return true end
  local function exceeds(one, two) return #one > #two or (#one == #two and one > two) end
  return exceeds(ms, other_ms) or (ms == other_ms and exceeds(sequence, other_sequence))
end

-- Remember from how late a place in its stream a document is known.
local function advance_position(document, position)
  if position ~= '' and is_later(position, redis.call('HGET', document, 'position')) then
    redis.call('HSET', document, 'position', position)
  end
end

-- The document is well: no letter is to say otherwise, unless it speaks of a later reading.
local function forgive(document, id, dead, reading)
  local letter = redis.call('HMGET', document, 'letter', 'letter_reading')
  local later = letter[1] == '0' and reading > 0 and tonumber(letter[2] or 0) > reading
  if not later then
    if redis.call('HDEL', dead, id) == 1 then drop_reason(dead, id) end
    redis.call('HDEL', document, 'letter', 'letter_ms', 'letter_reading')
  end
end

-- A deleted document is nobody's, and remembered only for those who are late.
local function retire(document, id, index, dead)
  redis.call('ZREM', index, id)
  forgive(document, id, dead, 0)
  redis.call('PEXPIRE', document, DELETED_KEPT_MS)
end

-- The rows of all versions before the committed one are deleted.
local function conclude(document, id, indexes, dead, graves, due)
  local state = redis.call('HMGET', document, 'older', 'count', 'source', 'reading')
  inter(graves, due, id, state[1] or '')
  redis.call('HSET', document, 'older', '')
  redis.call('HDEL', document, 'withdrawn', 'lettered')
  drop_marks(document)
  if state[2] == '0' then retire(document, id, indexes .. state[3], dead)
  else forgive(document, id, dead, tonumber(state[4] or 0)) end
end

-- Whether a content is promised, and nothing is missing of it but time.
-- state: hash, wanted, committed, published, units, failed, left, job
local function is_promised(state, hash, jobs)
  if state[1] ~= hash or tonumber(state[6] or 0) > 0 then return false end
  if state[2] == state[3] or tonumber(state[7] or 1) <= 0 then return true end
  -- What a cancelled job has not brought to its end is going to be given up.
  return redis.call('HGET', jobs .. (state[8] or ''), 'halt') ~= 'cancelled'
end
