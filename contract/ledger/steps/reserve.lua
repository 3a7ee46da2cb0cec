-- Set tokens aside for documents that are going to be promised: for as many as the budgets bear.
-- What is set aside counts until batches of the job have used as much, or nothing of it is under
-- way any more.
-- KEYS: reservations, usage of the day
-- ARGV: job, source, day, job key prefix, 1 when all that the job promised is through,
--       most tokens of the run or -1, most tokens of the source on the day or -1,
--       number of the run's jobs, these jobs, then the tokens of each document
-- Returns {documents, tokens of the run, tokens of the source today}; of the latter two what is
--   used and set aside without these documents
local SILENT_MS = 15000 -- as in jobs.py

local function used(job) return tonumber(redis.call('HGET', ARGV[4] .. job, 'tokens') or 0) end

local function ahead(record, tokens)
  local aside, since = string.match(record, '^(%d+) (%d+)')
  return math.max(0, tonumber(aside) - (tokens - tonumber(since)))
end

-- What others have set aside; those that have come to their end are forgotten.
local others, of_source = {}, 0
local records = redis.call('HGETALL', KEYS[1])
for at = 1, #records, 2 do
  local name = records[at]
  if name ~= ARGV[1] then
    local job = redis.call('HMGET', ARGV[4] .. name, 'source', 'sealed', 'batches_published',
      'batches_finished', 'seen_ms', 'tokens')
    local through = tonumber(job[4] or 0) >= tonumber(job[3] or 0)
    local ended = job[2] == '1' or now_ms() - tonumber(job[5] or 0) > SILENT_MS
    if not job[1] or (through and ended) then
      redis.call('HDEL', KEYS[1], name)
    else
      others[name] = ahead(records[at + 1], tonumber(job[6] or 0))
      if job[1] == ARGV[2] then of_source = of_source + others[name] end
    end
  end
end

local tokens = used(ARGV[1])
local aside, since, day, begun = 0, tokens, ARGV[3], tokens
local record = redis.call('HGET', KEYS[1], ARGV[1])
if record then
  aside, since, day, begun = string.match(record, '^(%d+) (%d+) (%d+) (%d+)$')
  aside, since, begun = tonumber(aside), tonumber(since), tonumber(begun)
end
if ARGV[5] == '1' then aside, since = 0, tokens end
if day ~= ARGV[3] then day, begun = ARGV[3], tokens end
local own = math.max(0, aside - (tokens - since))

local run, jobs = 0, tonumber(ARGV[8])
for at = 9, 8 + jobs do
  run = run + used(ARGV[at]) + (ARGV[at] == ARGV[1] and own or others[ARGV[at]] or 0)
end
-- The job's own use counts by itself too: the producer's clock may be ahead of ours.
local today = math.max(tonumber(redis.call('HGET', KEYS[2], ARGV[2]) or 0), tokens - begun)
today = today + own + of_source

local run_most, day_most = tonumber(ARGV[6]), tonumber(ARGV[7])
local documents, more = 0, 0
for at = 9 + jobs, #ARGV do
  local cost = tonumber(ARGV[at])
  local fits = (run_most < 0 or run + more + cost <= run_most)
    and (day_most < 0 or today + more + cost <= day_most)
  if cost > 0 and not fits then break end
  documents, more = documents + 1, more + cost
end
redis.call('HSET', KEYS[1], ARGV[1],
  string.format('%d %d %s %d', aside + more, since, day, begun))
return {documents, run, today}
