#!lua flags=allow-oom
-- Give messages away, written down as unacknowledged, and forget those that are acknowledged.
-- KEYS: unacknowledged messages, their index by time, then each queue's lists by priority
-- ARGV: seconds now, number of lists of a queue, for each queue how many it may give at the most,
--       then tags that are acknowledged
-- Returns {number of the queue from 1, tag, message, ...}; '' for the tag of what is no message of
--   kombu's, and is nowhere now
local lists = tonumber(ARGV[2])
local queues = (#KEYS - 2) / lists
for from = 3 + queues, #ARGV, 1000 do
  local to = math.min(from + 999, #ARGV)
  redis.call('HDEL', KEYS[1], unpack(ARGV, from, to))
  redis.call('ZREM', KEYS[2], unpack(ARGV, from, to))
end

-- What kombu needs to put a message back; nil for what is no message of its.
local function origin(message)
  local read, document = pcall(cjson.decode, message)
  local properties = read and type(document) == 'table' and document.properties
  local delivery = type(properties) == 'table' and properties.delivery_info
  if type(delivery) ~= 'table' then return nil end
  local tag, exchange, routing_key = properties.delivery_tag, delivery.exchange, delivery.routing_key
  for _, name in ipairs({tag or 0, exchange or 0, routing_key or 0}) do
    if type(name) ~= 'string' then return nil end
  end
  return tag, cjson.encode(exchange), cjson.encode(routing_key)
end

local given = {}
for queue = 1, queues do
  local left = tonumber(ARGV[2 + queue])
  for list = 3 + (queue - 1) * lists, 2 + queue * lists do
    while left > 0 do
      local message = redis.call('LINDEX', KEYS[list], -1)
      if not message then break end
      local tag, exchange, routing_key = origin(message)
      if tag then
        -- Before it leaves the queue: a script that fails is not undone.
        redis.call('HSET', KEYS[1], tag, '[' .. message .. ', ' .. exchange .. ', ' .. routing_key .. ']')
        redis.call('ZADD', KEYS[2], ARGV[1], tag)
      end
      redis.call('RPOP', KEYS[list])
      for _, item in ipairs({queue, tag or '', message}) do given[#given + 1] = item end
      left = left - 1
    end
  end
end
return given
