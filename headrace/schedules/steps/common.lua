-- What several steps do alike; it stands before each of them.

local KEPT_RUNS = 100 -- of each schedule

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function is_over(state)
  return not state
    or (state ~= 'waiting' and state ~= 'running' and state ~= 'queued' and state ~= 'scattered')
end

-- Tell whether a run, or the one that it is a shard of, is to be given up.
local function is_cancelled(prefix, run)
  local found = redis.call('HMGET', run, 'cancel', 'parent')
  return found[1] == '1' or (found[2] and redis.call('HGET', prefix .. found[2], 'cancel') == '1')
end

-- Write a run down, and forget the oldest that are over.
local function record(runs, prefix, id, due, ...)
  redis.call('HSET', prefix .. id, 'due_ms', due, ...)
  redis.call('ZADD', runs, due, id)
  for _, old in ipairs(redis.call('ZRANGE', runs, 0, -KEPT_RUNS - 1)) do
    if is_over(redis.call('HGET', prefix .. old, 'state')) then
      redis.call('ZREM', runs, old)
      redis.call('DEL', prefix .. old)
    end
  end
end

-- A run has ended: its source is free, and the one that waited behind it is next.
local function conclude(prefix, id, sources, ready, leased, states)
  local run = prefix .. id
  local found = redis.call('HMGET', run, 'schedule', 'source_field', 'parent', 'shard', 'state',
    'reason', 'result', 'job')
  redis.call('HSET', run, 'finished_ms', now_ms(), 'owner', '')
  redis.call('ZREM', ready, id)
  redis.call('ZREM', leased, id)
  if found[3] then
    -- The last shard to end has the run gathered.
    local parent = prefix .. found[3]
    redis.call('DEL', run)
    if redis.call('EXISTS', parent) == 0 then return end
    redis.call('HSET', parent, 'shard:' .. found[4], cjson.encode({state = found[5],
      reason = found[6] or '', job = found[8] or '', result = found[7] or '{}'}))
    if redis.call('HINCRBY', parent, 'left', -1) == 0 then
      redis.call('HSET', parent, 'state', 'waiting')
      redis.call('ZADD', ready, now_ms(), found[3])
    end
    return
  end
  if found[2] and redis.call('HGET', sources, found[2]) == id then
    redis.call('HDEL', sources, found[2])
  end
  local state = states .. found[1]
  if redis.call('HGET', state, 'active') == id then
    local queued = redis.call('HGET', state, 'queued')
    redis.call('HDEL', state, 'active', 'queued')
    if queued then
      redis.call('HSET', state, 'active', queued)
      redis.call('HSET', prefix .. queued, 'state', 'waiting')
      redis.call('ZADD', ready, now_ms(), queued)
    end
  end
end
