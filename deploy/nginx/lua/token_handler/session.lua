--- The session of a request: opens the access cookie as shared/crypto/seal.ts says, and judges its times.

local lrucache = require "resty.lrucache"
local bytes = require "token_handler.bytes"
local cookie_header = require "token_handler.cookie_header"
local crypto = require "token_handler.crypto"
local record = require "token_handler.record"

local matches = ngx.re.find

local M = {}

-- RFC 6750 §2.1 b64token, as the proxy asks of every token (oauth-proxy/credentials/credential.ts).
local bearer_token = [[^[A-Za-z0-9._~+/-]++=*+\z]]

-- What is remembered of one header at most: our cookies are 7 KB by default, and each further pair takes memory of its own.
-- One user who signed in could else fill some hundred megabytes per worker with pairs of his own making.
local LONGEST_KEPT, MOST_KEPT = 10240, 100

local FORMAT_VERSION = 1
local HEAD_BYTES = 5 -- version and key id
local SHORTEST = HEAD_BYTES + 24 + 16 -- and nonce and tag

local function associated_data(key_id, settings)
  local parts = {
    string.char(FORMAT_VERSION), bytes.decode_hex(key_id), settings.access_cookie, "access",
    settings.client_id, settings.issuer, settings.public_origin,
  }
  for index, part in ipairs(parts) do
    parts[index] = string.char(math.floor(#part / 256), #part % 256) .. part
  end
  return table.concat(parts)
end

--- The credential of the user, or nil, error code and the name of the check, for routes that want one.
local function bearer(content)
  -- Only the proxy can prove a token that is bound to a key: as a bearer every API would refuse it (RFC 9449 §7.1).
  if content.dpop_key_id then
    return nil, "access_token_expired", "dpop_key"
  end
  -- A token with a line break would write headers of its own, one with a comma would be two values (H12).
  if not matches(content.access_token, bearer_token, "jo") then
    return nil, "authorization_server_error", "token"
  end
  return "Bearer " .. content.access_token
end

--- A reader for one installation; `keys` come from token_handler.keys.
function M.create(settings, keys)
  local rows = {}
  for key_id, key in pairs(keys.access) do
    rows[bytes.decode_hex(key_id)] = { decrypt = key, data = associated_data(key_id, settings) }
  end
  -- What one and the same Cookie header means never changes while the keys stay, so it is worth remembering; whether
  -- the session is over is asked every time. Only headers with a genuine cookie get in, so strangers cannot fill it.
  local seen = assert(lrucache.new(settings.cached_sessions))

  local function open(value)
    local sealed = bytes.decode_base64url(value)
    if not sealed or #sealed < SHORTEST then
      return nil, "malformed"
    elseif sealed:byte(1) ~= FORMAT_VERSION then
      return nil, "unknown_version"
    end
    local row = rows[sealed:sub(2, HEAD_BYTES)]
    if not row then
      return nil, "unknown_key"
    end
    local plaintext = row.decrypt(sealed, HEAD_BYTES, row.data)
    if not plaintext then
      return nil, "tampered"
    end
    local content = record.decode_access(plaintext)
    if not content then
      return nil, "record"
    end
    return content
  end

  --- What the Cookie header holds: { content, others, authorization, code, check }, or nil, error code and the name of the
  --- check, which are nil for a visitor without our cookie. Without authorization the inner two say why there is none.
  local function read(header)
    local ours, others = cookie_header.parse(header, settings.own_prefixes)
    if not ours then
      return nil, others
    end
    local value, state = cookie_header.join(settings.access_cookie, ours)
    if state == "absent" then
      return { others = others }
    elseif not value then
      return nil, "session_invalid", "chunks"
    end
    local content, failure = open(value)
    if not content then
      return nil, "session_invalid", failure
    end
    local found = { content = content, others = others }
    found.authorization, found.code, found.check = bearer(content)
    return found
  end

  local nobody = { others = {} }

  local function look(header)
    if not header then
      return nobody
    end
    local known = seen:get(header)
    if known then
      return known
    end
    local found, code, check = read(header)
    if found and found.content and #header <= LONGEST_KEPT and #found.others <= MOST_KEPT then
      seen:set(header, found)
    end
    return found, code, check
  end

  local reader = {}

  --- As `look`, with limits and expiry judged at `now`, seconds since 1970.
  function reader.read(header, now)
    local found, code, check = look(header)
    local content = found and found.content
    if not content then
      return found, code, check
    elseif now >= content.absolute_expires_at then
      return nil, "session_expired", "absolute_limit"
    elseif now >= content.idle_expires_at then
      return nil, "session_expired", "idle_limit"
    elseif now >= content.access_token_expires_at then
      return nil, "access_token_expired"
    end
    return found
  end

  --- True when `presented` is the CSRF token of the session under any key of the ring.
  function reader.is_csrf_token(content, presented)
    local found = false
    for _, key in ipairs(keys.csrf) do
      local expected = bytes.encode_base64url(crypto.hmac(key, content.session_id))
      found = crypto.equal(expected, presented or "") or found
    end
    return found
  end

  return reader
end

return M
