--- Reads the key ring file that agent and proxy use; see shared/crypto/key-ring-file.ts for its shape.

local bytes = require "token_handler.bytes"
local crypto = require "token_handler.crypto"
local json = require "token_handler.json"

local M = {}

local function count(set)
  local number = 0
  for _ in pairs(set) do
    number = number + 1
  end
  return number
end

--- Why 32 bytes cannot have come from a random number generator, or nil: the rules of shared/crypto/weak-keys.ts, without
-- its list of published keys.
local function weakness_of(key)
  local bytes, steps, before = {}, {}, nil
  for byte in key:gmatch(".") do
    local number = byte:byte()
    bytes[number] = true
    if before then
      steps[number - before] = true
    end
    before = number
  end
  if count(bytes) < 12 then
    return "repeats a few bytes"
  elseif count(steps) < 6 then
    return "follows a pattern"
  elseif not key:find("[^\32-\126]") then
    return "is readable text, not random bytes"
  end
  return nil
end

--- The 32 bytes of a key. Problems name the place, never the value.
local function read_key(text, place)
  local key = type(text) == "string" and #text == 64 and bytes.decode_hex(text)
  if not key then
    error(place .. " must be exactly 64 lower-case hex characters", 0)
  end
  local weakness = weakness_of(key)
  if weakness then
    error(place .. " " .. weakness .. "; make keys with `token-handler keys generate`", 0)
  end
  return key
end

local function purpose_key(entry, purpose, place)
  if entry.master then
    local master = read_key(entry.master, place .. ".master")
    if bytes.encode_hex(crypto.hkdf(master, "token-handler/1/key-id", 4)) ~= entry.id then
      error(place .. ".id does not belong to this key", 0)
    end
    return crypto.hkdf(master, "token-handler/1/" .. purpose, 32)
  end
  local derived = type(entry.derived) == "table" and entry.derived[purpose]
  return derived and read_key(derived, place .. ".derived." .. purpose)
end

--- Keys of a ring: `access` opens by key id, `csrf` is the list of keys for CSRF tokens. Throws for a file that is not
-- a key ring of version 1 with at least one access key; nginx then refuses to start, or keeps its old workers.
function M.parse(text)
  local ok, ring = pcall(json.decode, text)
  if not ok or type(ring) ~= "table" or ring.version ~= 1 or type(ring.keys) ~= "table" then
    error("the key ring is not a JSON object of version 1", 0)
  end
  local access, csrf = {}, {}
  for index, entry in ipairs(ring.keys) do
    local place = ("keys[%d]"):format(index - 1)
    if type(entry) ~= "table" or type(entry.id) ~= "string" or not entry.id:find("^[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]$") then
      error(place .. ".id must be 8 lower-case hex characters", 0)
    end
    if (entry.master == nil) == (entry.derived == nil) then
      error(place .. ' must have either "master" or "derived"', 0)
    elseif access[entry.id] then
      error(place .. ".id occurs twice", 0)
    end
    local key = purpose_key(entry, "access", place)
    if not key then
      error(place .. " has no access key", 0)
    end
    access[entry.id] = crypto.xaes(key)
    csrf[#csrf + 1] = purpose_key(entry, "csrf", place)
  end
  if not next(access) then
    error("the key ring is empty", 0)
  end
  return { access = access, csrf = csrf }
end

--- As `parse`, for a file.
function M.load(path)
  local file, problem = io.open(path, "rb")
  if not file then
    error("the key ring cannot be read: " .. problem, 0)
  end
  local text = file:read("*a")
  file:close()
  return M.parse(text)
end

return M
