"""What Redis does in one step, in Lua.

A place is five keys. The marker: `ready` or `building`, then the Redis process that was told so. The set
of keys, as `domain/order.py` makes them, all with the score 0, so that their bytes are the order. A hash of
entries by player: revision (12 digits), `1` or `0` when quarantined, time and submissions (8 bytes each), the
head of the key. Where equals share a rank and none is left out after it, also the set of results, and how
often each is there.
"""

MARKER, KEYS, ENTRIES, RESULTS, COUNTS = "", ":keys", ":of", ":results", ":counts"
REVISION_DIGITS = 12
HEADER = REVISION_DIGITS + 1 + 16
"""Length of an entry before the head of its key."""

# Arguments: the process, whether results are kept, their length, when the place goes (milliseconds since
# 1970; empty: never), then player and entry of each. An entry of a revision that is there, or of an older
# one, says nothing. Answers 0 when nobody has built the place.
WRITE = """
local marker = redis.call('GET', KEYS[1])
if not marker or string.match(marker, ' ([^ ]+)') ~= ARGV[1] then return 0 end
local dense, length = ARGV[2] == '1', tonumber(ARGV[3])
local function tell(key, by)
  if not dense then return end
  local result = string.sub(key, 1, length)
  local count = redis.call('HINCRBY', KEYS[5], result, by)
  if count == 0 then
    redis.call('HDEL', KEYS[5], result)
    redis.call('ZREM', KEYS[4], result)
  elseif count == by then
    redis.call('ZADD', KEYS[4], 0, result)
  end
end
for number = 5, #ARGV, 2 do
  local player, entry = ARGV[number], ARGV[number + 1]
  local held = redis.call('HGET', KEYS[3], player)
  if not held or tonumber(string.sub(held, 1, 12)) < tonumber(string.sub(entry, 1, 12)) then
    local old = held and string.sub(held, 13, 13) == '1' and string.sub(held, 30) .. player
    local new = string.sub(entry, 13, 13) == '1' and string.sub(entry, 30) .. player
    if old ~= new then
      if old then redis.call('ZREM', KEYS[2], old); tell(old, -1) end
      if new then redis.call('ZADD', KEYS[2], 0, new); tell(new, 1) end
    end
    redis.call('HSET', KEYS[3], player, entry)
  end
end
if ARGV[4] ~= '' then
  for number = 2, 5 do redis.call('PEXPIREAT', KEYS[number], ARGV[4]) end
end
return 1
"""

# Begins to build: false when somebody is at it. Arguments: the process, a token, how long it is believed that
# whoever builds is alive.
BEGIN = """
local marker = redis.call('GET', KEYS[1])
if marker and string.sub(marker, 1, 9) == 'building ' and string.match(marker, ' ([^ ]+)') == ARGV[1] then
  return 0
end
redis.call('UNLINK', KEYS[2], KEYS[3], KEYS[4], KEYS[5])
redis.call('SET', KEYS[1], 'building ' .. ARGV[1] .. ' ' .. ARGV[2], 'PX', ARGV[3])
return 1
"""

# Goes on building; or is done when no time is given, until the place goes. 0: it was begun anew since.
GO_ON = """
if redis.call('GET', KEYS[1]) ~= 'building ' .. ARGV[1] .. ' ' .. ARGV[2] then return 0 end
if ARGV[3] == '' then
  redis.call('SET', KEYS[1], 'ready ' .. ARGV[1])
  if ARGV[4] ~= '' then redis.call('PEXPIREAT', KEYS[1], ARGV[4]) end
else
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
return 1
"""

_READING = """
if redis.call('GET', KEYS[1]) ~= 'ready ' .. ARGV[1] then return false end
local policy, length, head = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local function before(key) return redis.call('ZLEXCOUNT', KEYS[2], '-', '(' .. key) end
local function rank(key)
  local result = string.sub(key, 1, length)
  if policy == 'shared_dense' then return redis.call('ZLEXCOUNT', KEYS[4], '-', '(' .. result) + 1 end
  if policy == 'shared_competition' then return before(result) + 1 end
  return before(key) + 1
end
local function shown(keys, player)
  local own, place, there = false, 0, 0
  if player ~= '' then
    local held = redis.call('HGET', KEYS[3], player)
    if held and string.sub(held, 13, 13) == '0' then
      own = held .. player
      local key = string.sub(held, 30) .. player
      place = rank(key)
      if policy == 'shared_dense' and redis.call('ZSCORE', KEYS[4], string.sub(key, 1, length)) then
        there = 1
      end
    end
  end
  local players = redis.call('ZCARD', KEYS[2])
  if #keys == 0 then return {players, players, players + 1, {}, own, place, there} end
  local names = {}
  for number, key in ipairs(keys) do names[number] = string.sub(key, head + 1) end
  local entries = redis.call('HMGET', KEYS[3], unpack(names))
  for number, name in ipairs(names) do entries[number] = entries[number] .. name end
  return {players, before(keys[1]), rank(keys[1]), entries, own, place, there}
end
"""

# Arguments of all that read: the process, the tie policy, lengths of results and heads.
# Then: after which key, how many, the owner.
TOP = (
    _READING
    + """
local from = ARGV[5] == '' and '-' or '(' .. ARGV[5]
return shown(redis.call('ZRANGEBYLEX', KEYS[2], from, '+', 'LIMIT', 0, ARGV[6]), ARGV[7])
"""
)

# Then: the player, how many are shown with it in the middle, the owner. A quarantined entry, which only its
# owner is shown, moves the others by one, so there is one more on either side.
AROUND = (
    _READING
    + """
local held = redis.call('HGET', KEYS[3], ARGV[5])
if not held then return 0 end
if string.sub(held, 13, 13) == '0' and ARGV[7] ~= ARGV[5] then return 0 end
local position, limit = before(string.sub(held, 30) .. ARGV[5]), tonumber(ARGV[6])
local first = math.min(position - math.floor((limit - 1) / 2), redis.call('ZCARD', KEYS[2]) - limit)
first = math.max(0, first)
return shown(redis.call('ZRANGE', KEYS[2], math.max(0, first - 1), first + limit), ARGV[7])
"""
)

# Then: the owner, and the players. First what is the owner's own and quarantined, as in the others; then
# of each that is shown its entry and rank.
PLAYERS = (
    _READING
    + """
local _, _, _, _, own, place, there = unpack(shown({}, ARGV[5]))
local found = {own, place, there}
for number = 6, #ARGV do
  local player = ARGV[number]
  local held = redis.call('HGET', KEYS[3], player)
  if held and (string.sub(held, 13, 13) == '1' or player == ARGV[5]) then
    table.insert(found, held .. player)
    table.insert(found, rank(string.sub(held, 30) .. player))
  end
end
return found
"""
)
