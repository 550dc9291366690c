--- The answer of an API on its way to the browser: the rules of oauth-proxy/forward/response-headers.ts and location.ts.
-- What is the same for every answer is said by add_header and proxy_hide_header of the generated configuration.

local answer = require "token_handler.answer"
local challenge = require "token_handler.challenge"
local target = require "token_handler.target"
local text = require "token_handler.text"

local find, lower, sub, concat = string.find, string.lower, string.sub, table.concat
local get_headers, get_method, http_version = ngx.resp.get_headers, ngx.req.get_method, ngx.req.http_version

local M = {}

-- Statuses of no protocol, by which the header filter sends nginx to the location that answers instead of the API.
M.INVALID, M.REFUSED = 590, 591

local REMEMBERED = 512

-- Families of fields by which an API would speak for the whole origin or steer a gateway; proxy_hide_header takes out
-- the single names.
local refused_prefixes = {}

--- Takes the list that the module shares with the proxy; fails for a configuration of another version, without it.
function M.configure(settings)
  refused_prefixes = assert(settings.refused_response_prefixes)
end

local kept_directives = {
  ["no-store"] = true, ["no-cache"] = true, ["no-transform"] = true, ["must-revalidate"] = true, ["immutable"] = true,
}
-- Fields that no Connection field can make an affair of one hop (RFC 9110 §7.6.1), and that nearly every answer has.
local end_to_end = {
  ["content-type"] = true, ["content-length"] = true, ["etag"] = true, ["last-modified"] = true, ["vary"] = true,
  ["accept-ranges"] = true, ["content-encoding"] = true, ["date"] = true, ["server"] = true, ["connection"] = true,
}
-- Written by nginx itself, whatever the API says in Connection.
local framing = { ["connection"] = true, ["transfer-encoding"] = true, ["date"] = true, ["server"] = true }

-- Fields of which some readers take the first and some the last when there are two, and so disagree on the content.
local sole_fields = {
  ["content-disposition"] = true, ["content-range"] = true, ["etag"] = true,
  ["last-modified"] = true, ["location"] = true, ["retry-after"] = true,
}

local PASSED, DROPPED, LOCATION, CACHING, END_TO_END = 1, 2, 3, 4, 5
local kinds, soles, remembered = {}, {}, 0

--- Remembers what a name means, up to a bound.
local function learn(name)
  if remembered == REMEMBERED then
    kinds, soles, remembered = {}, {}, 0
  end
  local plain, kind = lower(name), PASSED
  for i = 1, #refused_prefixes do
    if sub(plain, 1, #refused_prefixes[i]) == refused_prefixes[i] then
      kind = DROPPED
    end
  end
  kind = plain == "location" and LOCATION or plain == "cache-control" and CACHING or kind
  kind = end_to_end[plain] and END_TO_END or kind
  kinds[name], remembered = kind, remembered + 1
  soles[name] = sole_fields[plain] and plain
  return kind
end

-- The answer in which each such field was met last, by its number; spellings of one name come as several fields.
local met, answers = {}, 0

local function is_repeated(sole, value)
  local before = met[sole]
  met[sole] = answers
  return before == answers or type(value) == "table"
end

--- Directives that let a shared cache keep the answer are dropped (RFC 9111 §3.5).
local function private_caching(value)
  local kept = { "private" }
  for directive in value:gmatch("[^,]+") do
    directive = lower(text.trimmed(directive))
    if directive == "no-store" then
      return "no-store"
    elseif kept_directives[directive] or directive:find("^max%-age=%d+$") then
      kept[#kept + 1] = directive
    end
  end
  return #kept == 1 and "no-store" or concat(kept, ", ")
end

--- What follows an origin, which alone is its root (RFC 3986 §6.2.3); nil for a location elsewhere.
local function after_origin(location, origin)
  local rest = sub(location, 1, #origin) == origin and sub(location, #origin + 1)
  if not rest or find(rest, "^[^/?#]") then
    return nil
  end
  return sub(rest, 1, 1) == "/" and rest or "/" .. rest
end

--- A Location of the API as the browser may see it; nil if it must not see it (HX-12, K14).
local function public_location(location, route)
  if type(location) ~= "string" or #location > 4096 or find(location, "[^\33-\126]") then
    return nil
  end
  for origin in pairs(route.redirect_origins) do
    local rest = after_origin(location, origin)
    if rest then
      return origin .. rest
    end
  end
  for origin in pairs(route.own_origins) do
    local rest = after_origin(location, origin)
    if rest then
      location = rest
      break
    end
  end
  local path = target.parse(location:match("^[^#]*"))
  local prefix = route.add_prefix
  if not path or prefix ~= "" and path ~= prefix and sub(path, 1, #prefix + 1) ~= prefix .. "/" then
    return nil
  end
  local visible = route.strip_prefix .. sub(location, #prefix + 1)
  -- The prefix alone is the root of what the browser sees; nothing at all would be its own address (RFC 3986 §5.2.2).
  return sub(visible, 1, 1) == "/" and visible or "/" .. visible
end

local checks_lengths = ngx.config.nginx_version >= 1023000

--- False for an answer that two readers would cut differently (HX-3, HX-30): nginx passes what has no status line on as
-- HTTP/0.9, with a head written by the API, and before 1.23 it takes several lengths, or one beside chunks.
local function is_framed_once(fields, status)
  local length = ngx.var.upstream_http_content_length
  if not length then
    return http_version() >= 1
  elseif length == fields["content-length"] or checks_lengths or status == 204 or status == 304 then
    return true
  end
  local number = tonumber(length)
  return number ~= nil and number == tonumber(fields["content-length"]) or get_method() == "HEAD"
end

local function drop_options(connection)
  for option in connection:gmatch("[^,%s]+") do
    if not framing[lower(option)] then
      ngx.header[option] = nil
    end
  end
end

-- The shortest token that any request of this worker was given: shorter values cannot hold one.
local shortest_token = math.huge

--- Tells of a token that an API is given.
function M.expect_token(length)
  if length < shortest_token then
    shortest_token = length
  end
end

--- The token of this request; empty where the API is given none.
function M.token()
  return sub(ngx.var.th_authorization, 8)
end

--- True for a value that holds the token of this request: an API that echoes it must not hand it to the browser (HX-24).
local function holds_token(value)
  local token = M.token()
  return token ~= "" and find(value, token, 1, true) ~= nil
end

--- True where a field that was taken out is there still: of some fields nginx knows the last line only.
local function still_holds_token()
  for _, value in pairs(get_headers(0, true)) do
    if holds_token(type(value) == "table" and concat(value, ", ") or value) then
      return true
    end
  end
  return false
end

--- Header filter of a route: drops fields by which the API would speak for more than itself. Answers a status of this
-- module when another answer has to take the place of the API's.
function M.filter_header(settings, routes)
  local fields, status, var = get_headers(0, true), ngx.status, ngx.var
  if not is_framed_once(fields, status) then
    return ngx.ERROR
  elseif status < 200 or status > 599 then
    -- After 101, which nobody asked for, nginx would pass bytes both ways that nobody decides on (HX-18).
    return M.INVALID
  elseif (status == 401 or status == 403) and challenge.refusal(status, var.upstream_http_www_authenticate, M.token()) then
    return M.REFUSED
  end
  local may_be_an_option, has_echo, caching = false, false, nil
  answers = answers + 1
  for name, value in pairs(fields) do
    local kind = kinds[name] or learn(name)
    may_be_an_option = may_be_an_option or kind ~= END_TO_END
    if soles[name] and is_repeated(soles[name], value) then
      return M.INVALID
    end
    if type(value) == "table" then
      value = concat(value, ", ")
    end
    local is_echo = #value >= shortest_token and holds_token(value)
    has_echo = has_echo or is_echo
    if kind == LOCATION then
      local visible = not is_echo and public_location(fields[name], routes[get_method()]) or nil
      if not visible and status >= 300 and status < 400 then
        return M.INVALID
      end
      ngx.header["Location"] = visible
    elseif kind == DROPPED or is_echo then
      ngx.header[name] = nil
    elseif kind == CACHING then
      -- Spellings of one name come as several fields, and what one of them forbids no other allows.
      caching = caching and caching .. ", " .. value or value
      ngx.header["Cache-Control"] = nil
    end
  end
  if has_echo and still_holds_token() then
    return M.INVALID
  elseif caching then
    var.th_cache_control = private_caching(caching)
  end
  -- In the place of the API's own words for it, which could repeat the token.
  ngx.status = status
  local connection = may_be_an_option and var.upstream_http_connection
  if connection and connection ~= "keep-alive" and connection ~= "close" then
    drop_options(connection)
  end
  if settings.has_cors then
    answer.allow_origin(settings, var.http_origin)
  end
  return nil
end

return M
