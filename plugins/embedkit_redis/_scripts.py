"""What the server does in one step, in its own language: rows written, and rows removed.

All keys of a collection begin with its own, ``at``: ``embedkit:7``. ``slots`` maps an id to the row's slot, a small number that a removed
row leaves to another (``free``); ``alive`` has a bit for each slot. ``row:SLOT`` is the row, ``block:B`` the vectors of many
slots, ``term:TERM`` the slots of a term, ``order:FIELD`` those of a field's numbers, in their order. ``turn`` counts the writes, and a row
has that of its own: who has read which rows satisfy a filter knows by it which of them were written since.
"""

from __future__ import annotations

_FORGET = """
local at = KEYS[1]
if redis.call('EXISTS', at) == 0 then return -1 end
local function forget(slot)
  local index = cjson.decode(redis.call('HGET', at .. ':row:' .. slot, 'index'))
  for _, term in ipairs(index[1]) do redis.call('SREM', at .. ':term:' .. term, slot) end
  for _, pair in ipairs(index[2]) do redis.call('ZREM', at .. ':order:' .. pair[1], slot) end
end
"""

WRITE = (
    _FORGET
    + """
local bytes, each = tonumber(ARGV[1]), tonumber(ARGV[2])
local turn = redis.call('INCR', at .. ':turn')
for i = 3, #ARGV, 6 do
  local slot = redis.call('HGET', at .. ':slots', ARGV[i])
  if slot then
    forget(slot)
  else
    slot = redis.call('SPOP', at .. ':free')
    if not slot then slot = string.format('%.0f', redis.call('INCR', at .. ':next') - 1) end
    redis.call('HSET', at .. ':slots', ARGV[i], slot)
    redis.call('SETBIT', at .. ':alive', slot, 1)
  end
  redis.call('HSET', at .. ':row:' .. slot, 'id', ARGV[i], 'hash', ARGV[i + 1], 'text', ARGV[i + 2], 'metadata', ARGV[i + 3],
             'index', ARGV[i + 4], 'turn', turn)
  local number = tonumber(slot)
  redis.call('SETRANGE', at .. ':block:' .. string.format('%.0f', math.floor(number / each)), (number % each) * bytes, ARGV[i + 5])
  local index = cjson.decode(ARGV[i + 4])
  for _, term in ipairs(index[1]) do redis.call('SADD', at .. ':term:' .. term, slot) end
  for _, pair in ipairs(index[2]) do redis.call('ZADD', at .. ':order:' .. pair[1], pair[2], slot) end
end
return turn
"""
)
"""Arguments: the bytes of a vector, the vectors in a block; then of each row its id, hash, text, metadata, what it is found by (as JSON:
terms, and fields with their numbers as text) and vector. Gives the turn, -1 where the collection is no more."""

REMOVE = (
    _FORGET
    + """
local until_turn, removed = tonumber(ARGV[1]), 0
for i = 2, #ARGV do
  local slot = ARGV[i]
  if until_turn < 0 then slot = redis.call('HGET', at .. ':slots', slot) end
  local row = slot and redis.call('HMGET', at .. ':row:' .. slot, 'id', 'turn')
  if row and row[1] and (until_turn < 0 or tonumber(row[2]) <= until_turn) then
    redis.call('SETBIT', at .. ':alive', slot, 0)
    redis.call('SADD', at .. ':free', slot)
    forget(slot)
    redis.call('DEL', at .. ':row:' .. slot)
    redis.call('HDEL', at .. ':slots', row[1])
    removed = removed + 1
  end
end
return removed
"""
)
"""Arguments: -1 and ids; or a turn and slots, of which those go that were not written since. Gives how many went, -1 where the
collection is no more. A server without memory that runs it all the same (`FREES`) refuses its first step, or none."""

DROP = """
redis.call('SADD', 'embedkit:dropped', ARGV[1])
redis.call('HDEL', 'embedkit:collections', ARGV[2])
redis.call('UNLINK', KEYS[1])
return 0
"""
"""Arguments: the number of a collection, and its name."""

FREES = "#!lua flags=allow-oom\n"
"""What a script begins with that frees memory: Redis 7 runs it also where there is none left."""
