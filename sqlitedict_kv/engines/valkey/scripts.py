"""Scripts in Lua, each of which is one atomic step on the server.

A script that writes gets the session of the request and a number that grows. If the session has recorded that number,
the request was executed before and its answer was lost on the way: the script answers again and changes nothing. The
record is written in both cases, so that WAIT behind it always waits for something.

The version of a write is a hybrid clock, kept per shard: the time of the server in microseconds, or one more than the
last version if that is larger (Kulkarni et al. 2014, "Logical Physical Clocks"). Whatever a failover loses, time has
gone on by then, so no version is given twice. Versions stay below 2**53, which Lua's numbers hold exactly.

A script that finds something in its way writes nothing and returns a list that begins with a word.
Names of entries beyond KEYS are made from ARGV only within the slot of KEYS.

While a slot moves from one server to another key by key, each of both has only a part of the keys. A script there would
be stopped in its middle where it comes to a key that is gone, or take a key that has not come yet for an absent one. So
scripts that use names beyond KEYS, or a name again after they have removed it, are given one more name in KEYS, under
which there is never anything (WHOLE): a server that has only a part of the slot answers TRYAGAIN to such a pair of
names and executes nothing (https://valkey.io/topics/cluster-spec/, "Multiple keys operations").
"""

from __future__ import annotations

from sqlitedict_kv.engines.valkey.client.protocol import Script
from sqlitedict_kv.engines.valkey.value_format import FORMAT

SESSION_SECONDS = 600  # for longer than any request is on its way
SPARE_MILLISECONDS = 60_000  # the server removes what expired so long ago by itself, whatever the clocks say

# KEYS[1] is the session, ARGV[1] the number as eight bytes. They are compared as numbers: strings Lua compares by the
# locale of the server, where some that differ are equal, and writes that were never made would be taken for done.
ONCE = f"""
local told = redis.call('GET', KEYS[1])
if told and struct.unpack('>I8', told) >= struct.unpack('>I8', ARGV[1]) then
  redis.call('SET', KEYS[1], told, 'EX', {SESSION_SECONDS})
  return cmsgpack.unpack(string.sub(told, 9))
end
local function record(answer)
  redis.call('SET', KEYS[1], ARGV[1] .. cmsgpack.pack(answer), 'EX', {SESSION_SECONDS})
  return answer
end
"""

# The bytes of an entry up to its seal; entry.py has the format.
SEALED = f"""
local function seal_of(crc, version, updated, expires)
  local total = version + updated + expires
  return (crc + total + math.floor(total / 4294967296)) % 4294967296
end
local function sealed(crc, version, updated, expires)
  return struct.pack('>BI8I4', {FORMAT}, version, seal_of(crc, version, updated, expires))
end
"""

# Returns the clock of a shard, unless its layout is another one: then nothing, and the layout.
CLOCK = """
local time = redis.call('TIME')
time = time[1] * 1000000 + time[2]
local function clock_of(name, layout)
  local clock = redis.call('HMGET', name, 'v', 'n')
  if clock[2] and clock[2] ~= layout then return nil, clock[2] end
  return math.max(tonumber(clock[1] or 0) + 1, time)
end
local function set_clock(name, version, layout)
  redis.call('HSET', name, 'v', string.format('%.0f', version), 'n', layout)
end
"""

# The tags of a shard are one sorted set whose scores are all 0. Each tag of an entry is there twice, so that it is
# found by the tag and by the key; lengths are two bytes, the version eight:
#
#     t <length of the tag> <tag> <version> <key>
#     k <length of the key> <key> <version> <tag>
#
# It is valid while the version is that of the entry. So what writes or removes entries without tags does nothing here.
# All tags of a key have one version. The first byte of a version is 0, so \255 is behind them all.
TAGGING = """
local function begin_of(kind, text) return kind .. struct.pack('>I2', #text) .. text end
local function range_of(set, prefix, ...)
  return redis.call('ZRANGEBYLEX', set, '[' .. prefix, '(' .. prefix .. '\\255', ...)
end
local function untag(set, key)
  local prefix = begin_of('k', key)
  for _, member in ipairs(range_of(set, prefix)) do
    local version, tag = string.sub(member, #prefix + 1, #prefix + 8), string.sub(member, #prefix + 9)
    redis.call('ZREM', set, member, begin_of('t', tag) .. version .. key)
  end
end
local function tag_entry(set, key, version, tags)
  untag(set, key)
  local at, stamp = 1, struct.pack('>I8', version)
  while at <= #tags do
    local length = struct.unpack('>I2', tags, at)
    local tag = string.sub(tags, at + 2, at + 1 + length)
    redis.call('ZADD', set, 0, begin_of('t', tag) .. stamp .. key, 0, begin_of('k', key) .. stamp .. tag)
    at = at + 2 + length
  end
end
"""

# KEYS: session, index, expiry, clock, entry. ARGV: number, layout, now, key, expires_at, crc, tail.
PUT = Script.of(f"""{ONCE}{SEALED}{CLOCK}
local version, other = clock_of(KEYS[4], ARGV[2])
if not version then return {{'LAYOUT', other}} end
local value = sealed(ARGV[6], version, ARGV[3], ARGV[5]) .. ARGV[7]
local ordered = string.sub(ARGV[2], -1) == 'i'
if ARGV[5] == '0' then
  redis.call('SET', KEYS[5], value)
  if ordered then redis.call('ZREM', KEYS[3], ARGV[4]) end
else
  redis.call('SET', KEYS[5], value, 'PX', math.max(ARGV[5] - ARGV[3], 0) + {SPARE_MILLISECONDS})
  if ordered then redis.call('ZADD', KEYS[3], ARGV[5], ARGV[4]) end
end
if ordered then redis.call('ZADD', KEYS[2], 0, ARGV[4]) end
set_clock(KEYS[4], version, ARGV[2])
return record(version)
""")

# KEYS: session, index, expiry, clock, entries, WHOLE. ARGV: number, layout, now, above; of each entry key,
# expires_at, crc, tail; if there are tags, their set, and of each entry that has some key and tags. All get the same
# version, which is greater than `above`.
PUT_MANY = Script.of(f"""{ONCE}{SEALED}{CLOCK}{TAGGING}
local version, other = clock_of(KEYS[4], ARGV[2])
if not version then return {{'LAYOUT', other}} end
version = math.max(version, ARGV[4] + 1)
local ordered = string.sub(ARGV[2], -1) == 'i'
local some_expire = ordered and redis.call('EXISTS', KEYS[3]) == 1
local sets, index, lasting, expiring = {{}}, {{}}, {{}}, {{}}
local function flush()
  if #sets > 0 then redis.call('MSET', unpack(sets)) end
  if ordered then
    if #index > 0 then redis.call('ZADD', KEYS[2], unpack(index)) end
    if some_expire and #lasting > 0 then redis.call('ZREM', KEYS[3], unpack(lasting)) end
    if #expiring > 0 then redis.call('ZADD', KEYS[3], unpack(expiring)) end
  end
  sets, index, lasting, expiring = {{}}, {{}}, {{}}, {{}}
end
for i = 5, #KEYS - 1 do
  local at = 4 * i - 15
  local key, expires = ARGV[at], ARGV[at + 1]
  local value = sealed(ARGV[at + 2], version, ARGV[3], expires) .. ARGV[at + 3]
  index[#index + 1] = 0
  index[#index + 1] = key
  if expires == '0' then
    sets[#sets + 1] = KEYS[i]
    sets[#sets + 1] = value
    lasting[#lasting + 1] = key
  else
    redis.call('SET', KEYS[i], value, 'PX', math.max(expires - ARGV[3], 0) + {SPARE_MILLISECONDS})
    expiring[#expiring + 1] = expires
    expiring[#expiring + 1] = key
  end
  if #index >= 1000 then flush() end
end
flush()
local tags_at = 4 * #KEYS - 15
for at = tags_at + 1, #ARGV, 2 do tag_entry(ARGV[tags_at], ARGV[at], version, ARGV[at + 1]) end
set_clock(KEYS[4], version, ARGV[2])
return record(version)
""")

# Edits in order, all or none. KEYS: session; of each shard index, expiry, clock; of each edit its entry; WHOLE.
# ARGV: number, now, count of shards; of each shard its layout; of each edit nine things, of which those that its
# kind has no use for are empty: kind, shard, key, expected version, expected deadline, expires_at, crc, tail, guess; of
# each edit that gives tags its number, the set of its shard, the tags.
# Kinds: P put, D delete, R delete what must be there, T touch, E touch what expires, C check, F fail. A guess is an
# edit whose expectations are the client's own: it looks again when they fail.
COMMIT = Script.of(f"""{ONCE}{SEALED}{CLOCK}{TAGGING}
local now, shards = tonumber(ARGV[2]), tonumber(ARGV[3])
local first_entry, first_edit = 1 + 3 * shards, 4 + shards
local count = #KEYS - first_entry - 1
local clocks, layouts = {{}}, {{}}
for s = 1, shards do
  local clock, other = clock_of(KEYS[1 + 3 * s], ARGV[3 + s])
  if not clock then return {{'LAYOUT', other}} end
  -- By name: a namespace and the one colocated with it share a clock.
  clocks[KEYS[1 + 3 * s]], layouts[s] = clock - 1, ARGV[3 + s]
end

-- Each entry as the edits so far leave it: its version and deadline, or false if it is absent.
local states = {{}}
local function state_of(name)
  if states[name] == nil then
    local head = redis.call('GETRANGE', name, 0, 29)
    local version, expires = 0, 0
    if #head == 30 and string.byte(head) == {FORMAT} then
      local _
      _, version, _, _, expires = struct.unpack('>BI8I4I8I8', head)
    end
    if version > 0 and version <= 2^53 and expires >= 0 then
      states[name] = {{version = version, expires = expires}}
    else
      states[name] = (head ~= '' or redis.call('EXISTS', name) == 1) and {{damaged = true, version = 0, expires = 0}}
    end
  end
  return states[name]
end

local versions = {{}}
for i = 1, count do
  local name, at = KEYS[first_entry + i], first_edit + 9 * (i - 1)
  local kind, shard, expected, deadline = ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 3], ARGV[at + 4]
  local state = state_of(name)
  local live = state and (state.expires == 0 or state.expires > now)
  if live and state.damaged and not ((kind == 'P' or kind == 'D') and expected == '') then return {{'DAMAGED', i}} end
  local actual = live and state.version or 0
  local moved = deadline ~= '' and live and state.expires ~= tonumber(deadline)
  if expected ~= '' and (actual ~= tonumber(expected) or moved) then
    return {{ARGV[at + 8] == '1' and 'CHANGED' or 'CONFLICT', i, actual}}
  end
  if kind == 'P' then
    local clock = KEYS[1 + 3 * shard]
    clocks[clock] = clocks[clock] + 1
    versions[i] = clocks[clock]
    states[name] = {{version = versions[i], expires = tonumber(ARGV[at + 5])}}
  elseif kind == 'F' then
    return {{'FAILED', i}}
  elseif kind == 'C' then
    versions[i] = live and actual or -1
  elseif not live then
    if kind == 'R' then return {{'MISSING', i}} end
    versions[i] = -1
  elseif kind == 'T' or kind == 'E' then
    versions[i] = -1
    if kind == 'T' or state.expires > 0 then
      versions[i] = actual
      states[name] = {{version = actual, expires = tonumber(ARGV[at + 5])}}
    end
  else
    versions[i] = actual
    states[name] = false
  end
end

local written = {{}}
local function set_deadline(ordered, expiry, key, expires)
  if not ordered then return end
  if expires == '0' then redis.call('ZREM', expiry, key) else redis.call('ZADD', expiry, expires, key) end
end
for i = 1, count do
  local name, at = KEYS[first_entry + i], first_edit + 9 * (i - 1)
  local kind, shard, key, expires = ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 2], ARGV[at + 5]
  local index, expiry = KEYS[3 * shard - 1], KEYS[3 * shard]
  local ordered = string.sub(layouts[shard], -1) == 'i'
  if kind == 'P' then
    local value = sealed(ARGV[at + 6], versions[i], now, expires) .. ARGV[at + 7]
    if expires == '0' then
      redis.call('SET', name, value)
    else
      redis.call('SET', name, value, 'PX', math.max(expires - now, 0) + {SPARE_MILLISECONDS})
    end
    set_deadline(ordered, expiry, key, expires)
    if ordered then redis.call('ZADD', index, 0, key) end
    written[shard] = true
  elseif versions[i] >= 0 and (kind == 'D' or kind == 'R') then
    redis.call('UNLINK', name)
    if ordered then
      redis.call('ZREM', index, key)
      redis.call('ZREM', expiry, key)
    end
  elseif versions[i] >= 0 and (kind == 'T' or kind == 'E') then
    local _, version, seal, updated, old = struct.unpack('>BI8I4I8I8', redis.call('GETRANGE', name, 0, 29))
    local new = tonumber(expires)
    local crc = seal - seal_of(0, version, updated, old)
    redis.call('SETRANGE', name, 9, struct.pack('>I4I8I8', seal_of(crc, version, updated, new), updated, new))
    if new == 0 then
      redis.call('PERSIST', name)
    else
      redis.call('PEXPIRE', name, math.max(new - now, 0) + {SPARE_MILLISECONDS})
    end
    set_deadline(ordered, expiry, key, expires)
  end
end
for at = first_edit + 9 * count, #ARGV, 3 do
  local i = tonumber(ARGV[at])
  tag_entry(ARGV[at + 1], ARGV[first_edit + 9 * (i - 1) + 2], versions[i], ARGV[at + 2])
end
for s in pairs(written) do set_clock(KEYS[1 + 3 * s], clocks[KEYS[1 + 3 * s]], layouts[s]) end
return record(versions)
""")

# KEYS: index, expiry; if entries are wanted, WHOLE. ARGV: low, high (as of ZRANGEBYLEX), reverse, limit, now, what
# names of entries begin with (empty: only keys are wanted), bytes of entries that are enough. Returns whether nothing
# is left, the key to go on behind, then keys, or keys and entries by turns. It looks at so many keys at most, so it
# may find few before the end; it looks at more at once the more it comes by that have expired.
PAGE = Script.of("""
local low, high, limit, now = ARGV[1], ARGV[2], tonumber(ARGV[4]), tonumber(ARGV[5])
local reverse, entries, enough = ARGV[3] == '1', ARGV[6], tonumber(ARGV[7])
local some_expire = redis.call('EXISTS', KEYS[2]) == 1
local page = {1, ''}
local found, bytes, batch = 0, 0, 0
for _ = 1, 10 do
  batch = math.min(math.max(limit - found, 4 * batch), 1000)
  local keys
  if reverse then
    keys = redis.call('ZREVRANGEBYLEX', KEYS[1], high, low, 'LIMIT', 0, batch)
  else
    keys = redis.call('ZRANGEBYLEX', KEYS[1], low, high, 'LIMIT', 0, batch)
  end
  local deadlines = some_expire and #keys > 0 and redis.call('ZMSCORE', KEYS[2], unpack(keys))
  for i, key in ipairs(keys) do
    if not (deadlines and deadlines[i] and tonumber(deadlines[i]) <= now) then
      if entries == '' then
        page[#page + 1] = key
        found = found + 1
      else
        local entry = redis.call('GET', entries .. key)
        if entry then
          page[#page + 1] = key
          page[#page + 1] = entry
          found = found + 1
          bytes = bytes + #entry
        end
      end
      if found >= limit or bytes >= enough then
        page[1], page[2] = 0, key
        return page
      end
    end
  end
  if #keys < batch then return page end
  page[2] = keys[#keys]
  if reverse then high = '(' .. page[2] else low = '(' .. page[2] end
end
page[1] = 0
return page
""")

# KEYS: index, expiry. ARGV: now. Returns how many keys there are, and how many of them have expired.
COUNT = Script.of("""
return {redis.call('ZCARD', KEYS[1]), redis.call('ZCOUNT', KEYS[2], '-inf', ARGV[1])}
""")

# KEYS: session, index, expiry, tags, WHOLE. ARGV: number, what names of entries begin with.
CLEAR = Script.of(f"""{ONCE}
for start = 0, redis.call('ZCARD', KEYS[2]) - 1, 1000 do
  local names = redis.call('ZRANGE', KEYS[2], start, start + 999)
  for i, key in ipairs(names) do names[i] = ARGV[2] .. key end
  redis.call('UNLINK', unpack(names))
end
redis.call('UNLINK', KEYS[2], KEYS[3], KEYS[4])
return record(0)
""")

# KEYS: session, index, expiry, WHOLE. ARGV: number, what names of entries begin with, limit, now, whether only those
# that have expired. Returns how many keys were removed, and how many of them were live.
REMOVE = Script.of(f"""{ONCE}
local keys
if ARGV[5] == '1' then
  keys = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', ARGV[4], 'LIMIT', 0, ARGV[3])
else
  keys = redis.call('ZRANGE', KEYS[2], 0, ARGV[3] - 1)
end
if #keys == 0 then return record({{0, 0}}) end
local live = 0
if ARGV[5] ~= '1' then
  for _, deadline in ipairs(redis.call('ZMSCORE', KEYS[3], unpack(keys))) do
    if not deadline or tonumber(deadline) > tonumber(ARGV[4]) then live = live + 1 end
  end
end
redis.call('ZREM', KEYS[2], unpack(keys))
redis.call('ZREM', KEYS[3], unpack(keys))
for i, key in ipairs(keys) do keys[i] = ARGV[2] .. key end
redis.call('UNLINK', unpack(keys))
return record({{#keys, live}})
""")

# KEYS: registry. ARGV: the namespace, its layout if it has none yet. Returns its layout.
DECLARE = Script.of("""
redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2])
return redis.call('HGET', KEYS[1], ARGV[1])
""")

# KEYS: clock, WHOLE. ARGV: cursor, pattern, count. As a script it has keys, so that it is the server of their slot that
# looks through its names, and no other one.
SCAN = Script.of("""
return redis.call('SCAN', ARGV[1], 'MATCH', ARGV[2], 'COUNT', ARGV[3])
""")

# KEYS: entries. ARGV: how many of their first bytes to return. Returns the size and those bytes of each.
HEADS = Script.of("""
local heads = {}
for i, name in ipairs(KEYS) do heads[i] = {redis.call('STRLEN', name), redis.call('GETRANGE', name, 0, ARGV[1] - 1)} end
return heads
""")
