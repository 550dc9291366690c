--- Bytes in the spellings that cookies and key rings use, each with one accepted form.

local base64 = require "ngx.base64"

local M = {}

M.encode_base64url = base64.encode_base64url

--- Decodes the canonical spelling of RFC 4648 §5 without padding; nil for anything else.
-- The decoder of nginx ignores trailing bits, so one cookie would have several spellings without the way back.
function M.decode_base64url(text)
  local bytes = base64.decode_base64url(text)
  if bytes and base64.encode_base64url(bytes) == text then
    return bytes
  end
  return nil
end

--- Bytes of lower-case hex digits; nil for anything else.
function M.decode_hex(text)
  if #text % 2 ~= 0 or text:find("[^0-9a-f]") then
    return nil
  end
  return (text:gsub("..", function(pair)
    return string.char(tonumber(pair, 16))
  end))
end

--- Lower-case hex digits of bytes.
function M.encode_hex(bytes)
  return (bytes:gsub(".", function(byte)
    return string.format("%02x", byte:byte())
  end))
end

return M
