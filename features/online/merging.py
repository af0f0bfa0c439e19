"""The scripts that the merger of items runs in Redis."""

# KEYS: meta, changes. ARGV: the version seen last, empty for none.
LOOK = """
local have = redis.call('HMGET', KEYS[1], 'version', 'newest')
local version = have[1] or '0'
local since = ARGV[1] == '' and version or ARGV[1]
return {version, have[2] or '0', redis.call('XRANGE', KEYS[2], since .. '-0', '+')}
"""

# KEYS: tiles. ARGV: the fields wanted of each (msgpack). All at one moment of the bucket. Answers with the fields that
# each tile has, and their values; of a small tile with all it has.
READ = """
local found = {}
for i, fields in ipairs(cmsgpack.unpack(ARGV[1])) do
  local size, some = redis.call('HLEN', KEYS[i]), {}
  if size > 0 and size * 2 <= #fields then
    some = redis.call('HGETALL', KEYS[i])
  elseif size > 0 then
    for at = 1, #fields, 1000 do
      local values = redis.call('HMGET', KEYS[i], unpack(fields, at, math.min(at + 999, #fields)))
      for j, value in ipairs(values) do
        if value then
          some[#some + 1] = fields[at + j - 1]
          some[#some + 1] = value
        end
      end
    end
  end
  found[i] = some
end
return found
"""

# ARGV: SHA-1 of the state that was read, empty for none; the new state, empty for none. The sums are newer than the
# state, so whoever writes over the state that another has written since would write older ones.
SWAP = """
local have = redis.call('GET', KEYS[1])
if (have and redis.sha1hex(have) or '') ~= ARGV[1] then return 0 end
if ARGV[2] == '' then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], ARGV[2]) end
return 1
"""
