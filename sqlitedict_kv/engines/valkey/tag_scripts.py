"""Scripts that remove entries by their tags, read tags, and sweep those that are not valid any more."""

from __future__ import annotations

from sqlitedict_kv.engines.valkey.client.protocol import Script
from sqlitedict_kv.engines.valkey.scripts import ONCE, TAGGING

# KEYS: session, index, expiry, tags, WHOLE. ARGV: number, what names of entries begin with, tag, limit, now. Returns
# how many tags it came by, and how many entries that were live it removed. scripts.py has the forms of tags.
FORGET_TAG = Script.of(f"""{ONCE}{TAGGING}
local prefix = begin_of('t', ARGV[3])
local found = range_of(KEYS[4], prefix, 'LIMIT', 0, ARGV[4])
local live, now = 0, tonumber(ARGV[5])
for _, member in ipairs(found) do
  local version, key = string.sub(member, #prefix + 1, #prefix + 8), string.sub(member, #prefix + 9)
  local head = redis.call('GETRANGE', ARGV[2] .. key, 0, 28)
  if #head == 29 and string.sub(head, 2, 9) == version then
    local expires = struct.unpack('>I8', head, 22)
    if expires == 0 or expires > now then live = live + 1 end
    redis.call('UNLINK', ARGV[2] .. key)
    redis.call('ZREM', KEYS[2], key)
    redis.call('ZREM', KEYS[3], key)
  end
  untag(KEYS[4], key)
end
return record({{#found, live}})
""")

# KEYS: tags. ARGV: keys. Returns for each key its tags, the version in front.
TAGS_OF = Script.of(f"""{TAGGING}
local all = {{}}
for i, key in ipairs(ARGV) do
  local prefix, tags = begin_of('k', key), {{}}
  for n, member in ipairs(range_of(KEYS[1], prefix)) do tags[n] = string.sub(member, #prefix + 1) end
  all[i] = tags
end
return all
""")

# KEYS: tags, WHOLE. ARGV: what names of entries begin with, the member behind which to look, limit. Returns the last
# member that it looked at, empty at the end.
SWEEP_TAGS = Script.of(f"""{TAGGING}
local low = ARGV[2] == '' and '[k' or '(' .. ARGV[2]
local found = redis.call('ZRANGEBYLEX', KEYS[1], low, '(l', 'LIMIT', 0, ARGV[3])
for _, member in ipairs(found) do
  local length = struct.unpack('>I2', member, 2)
  local key, version = string.sub(member, 4, 3 + length), string.sub(member, 4 + length, 11 + length)
  if redis.call('GETRANGE', ARGV[1] .. key, 1, 8) ~= version then
    redis.call('ZREM', KEYS[1], member, begin_of('t', string.sub(member, 12 + length)) .. version .. key)
  end
end
return #found < tonumber(ARGV[3]) and '' or found[#found]
""")
