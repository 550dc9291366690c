--- The refusal by an API in words of ours: the rules of oauth-proxy/forward/challenge.ts (RFC 6750 §3.1, RFC 9470 §3).

local lower = string.lower

local M = {}

-- A scheme, a parameter, or the token68 of another scheme (RFC 9110 §11.6.1).
local scheme_or_parameter = table.concat {
  [=[[\t ]*(?:,[\t ]*)*(?:([!#$%&'*+.^_`|~0-9A-Za-z-]+)[\t ]*=[\t ]*]=],
  [=[(?:"((?:[^"\\]++|\\.)*+)"|([!#$%&'*+.^_`|~0-9A-Za-z-]+))]=],
  [=[|([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?=[\t ]|,|$)|[A-Za-z0-9._~+/-]+=+(?=[\t ]*(?:,|$)))]=],
}

--- The parameters of the first Bearer or DPoP challenge that names an error, or an empty table.
local function bearer_challenge(header)
  local current, place = nil, { pos = 1 }
  if not header or #header > 4096 then
    return {}
  end
  while true do
    local match = ngx.re.match(header, scheme_or_parameter, "ajo", place)
    if not match then
      return current or {}
    end
    local name, scheme = match[1], match[4]
    if scheme then
      if current and current.error then
        return current
      end
      scheme = lower(scheme)
      current = (scheme == "bearer" or scheme == "dpop") and {} or nil
    elseif name and current and not current[lower(name)] then
      current[lower(name)] = match[2] and match[2]:gsub("\\(.)", "%1") or match[3] or ""
    end
  end
end

--- At most sixteen words of RFC 6749 §3.3, none of which holds the token that the API was sent (HX-24); anything else is
-- as if it had not been said.
local function words(text, token)
  if text and token ~= "" and text:find(token, 1, true) then
    return nil
  end
  local list = {}
  for word in (text or ""):gmatch("[^ ]+") do
    if #word > 128 or word:find("[^\33\35-\91%]\94-\126]") then
      return nil
    end
    list[#list + 1] = word
  end
  return #list > 0 and #list <= 16 and table.concat(list, " ") or nil
end

--- Members for the JSON answer. The words above hold neither quotes nor backslashes, so they need no escaping.
local function members(challenge, token, with_authentication)
  local text = ""
  local acr_values, max_age = words(challenge.acr_values, token), words(challenge.max_age, token)
  local scope = words(challenge.scope, token)
  if with_authentication and acr_values then
    text = text .. ',"acr_values":"' .. acr_values .. '"'
  end
  if with_authentication and max_age and max_age:find("^%d+$") and #max_age <= 9 then
    text = text .. ',"max_age":' .. tonumber(max_age)
  end
  return scope and text .. ',"scope":"' .. scope .. '"' or text
end

--- Error code and JSON members for an answer of an API that was sent `token`, or nil for one that is the API's own business.
function M.refusal(status, header, token)
  local challenge = bearer_challenge(header)
  if challenge.error == "insufficient_user_authentication" then
    return "insufficient_user_authentication", members(challenge, token, true)
  elseif challenge.error == "insufficient_scope" then
    return "insufficient_scope", members(challenge, token, false)
  end
  return status == 401 and "upstream_unauthorized" or nil, ""
end

return M
