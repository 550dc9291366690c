--- Reads the record inside an access cookie; the table of its fields is in shared/cookies/contents.ts.

local bit = require "bit"
local bytes = require "token_handler.bytes"

local M = {}

local byte, sub = string.byte, string.sub

local RECORD_VERSION = 1
local MOST_SEGMENTS = 5
local LARGEST = 2 ^ 53 - 1
local well_known_scopes = { "openid", "profile", "email", "address", "phone", "offline_access" }

-- Readers take a cursor { text, at, base } and throw `malformed` when the bytes end too early.
local malformed = "malformed"

local function read_byte(input)
  local value = byte(input.text, input.at)
  if not value then
    error(malformed, 0)
  end
  input.at = input.at + 1
  return value
end

local function read_bytes(input, length)
  local stop = input.at + length
  if stop > #input.text + 1 then
    error(malformed, 0)
  end
  local value = sub(input.text, input.at, stop - 1)
  input.at = stop
  return value
end

local function read_count(input)
  local value, unit = 0, 1
  while unit <= 2 ^ 49 do
    local part = read_byte(input)
    value = value + bit.band(part, 0x7f) * unit
    if part < 0x80 then
      if value > LARGEST then
        break
      end
      return value
    end
    unit = unit * 128
  end
  error(malformed, 0)
end

local function read_time(input)
  local coded = read_count(input)
  return input.base + (coded % 2 == 1 and -(coded + 1) / 2 or coded / 2)
end

local function read_text(input)
  return read_bytes(input, read_count(input))
end

local function read_token(input)
  local segments = read_byte(input)
  if segments == 0 then
    return read_text(input)
  elseif segments > MOST_SEGMENTS then
    error(malformed, 0)
  end
  local parts = {}
  for i = 1, segments do
    parts[i] = bytes.encode_base64url(read_text(input))
  end
  return table.concat(parts, ".")
end

local function skip_scope(input)
  for _ = 1, read_count(input) do
    local number = read_byte(input)
    if number == 0 then
      read_text(input)
    elseif not well_known_scopes[number] then
      error(malformed, 0)
    end
  end
end

local function read_access(text)
  local input = { text = text, at = 1, base = 0 }
  if read_byte(input) ~= RECORD_VERSION then
    error(malformed, 0)
  end
  local present = read_byte(input)
  local content = { session_id = bytes.encode_base64url(read_bytes(input, 16)), generation = read_count(input) }
  content.subject = read_text(input)
  input.base = read_count(input)
  content.absolute_expires_at = read_time(input)
  content.idle_expires_at = read_time(input)
  if bit.band(present, 1) ~= 0 then read_time(input) end -- auth_time
  if bit.band(present, 2) ~= 0 then read_text(input) end -- acr
  if bit.band(present, 4) ~= 0 then read_text(input) end -- sid of the authorization server
  content.access_token = read_token(input)
  content.access_token_expires_at = read_time(input)
  skip_scope(input)
  if bit.band(present, 8) ~= 0 then content.dpop_key_id = bytes.encode_hex(read_bytes(input, 4)) end
  if input.at ~= #text + 1 then
    error(malformed, 0)
  end
  return content
end

--- The content of an access cookie; nil for another version and for bytes that are not exactly one record.
function M.decode_access(text)
  local ok, content = pcall(read_access, text)
  return ok and content or nil
end

return M
