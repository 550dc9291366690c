--- The answer of an API on its way to the browser: the rules of oauth-proxy/forward/response-headers.ts and location.ts.
-- What is the same for every answer is said by add_header and proxy_hide_header of the generated configuration.

local answer = require "token_handler.answer"
local challenge = require "token_handler.challenge"
local target = require "token_handler.target"

local find, lower, sub = string.find, string.lower, string.sub
local http_version = ngx.req.http_version

local M = {}

local REMEMBERED = 512

-- Families of fields by which an API would speak for the whole origin or steer a gateway; proxy_hide_header takes out
-- the single names.
local refused_prefixes = {
  "access-control-", "activate-storage-", "proxy-", "sec-", "secure-session-", "speculation-", "supports-loading-",
  "surrogate-", "token-handler-", "x-accel-", "x-aspnet", "x-lighttpd-", "x-reproxy-", "x-ua-compatible",
}
local kept_directives = {
  ["no-store"] = true, ["no-cache"] = true, ["no-transform"] = true, ["must-revalidate"] = true, ["immutable"] = true,
}

-- Written by nginx itself.
local framing = { ["connection"] = true, ["transfer-encoding"] = true, ["date"] = true, ["server"] = true }

local decided, remembered = {}, 0

local function is_refused(name)
  local known = decided[name]
  if known ~= nil then
    return known
  end
  if remembered == REMEMBERED then
    decided, remembered = {}, 0
  end
  local refused = false
  for i = 1, #refused_prefixes do
    refused = refused or sub(name, 1, #refused_prefixes[i]) == refused_prefixes[i]
  end
  decided[name], remembered = refused, remembered + 1
  return refused
end

--- Directives that let a shared cache keep the answer are dropped (RFC 9111 §3.5).
function M.private_caching(value)
  local kept = { "private" }
  for directive in value:gmatch("[^,]+") do
    directive = lower(directive:gsub("^%s*(.-)%s*$", "%1"))
    if directive == "no-store" then
      return "no-store"
    elseif kept_directives[directive] or directive:find("^max%-age=%d+$") then
      kept[#kept + 1] = directive
    end
  end
  return #kept == 1 and "no-store" or table.concat(kept, ", ")
end

--- A Location of the API as the browser may see it; nil if it must not see it (HX-12, K14).
function M.public_location(location, route)
  if #location > 4096 or find(location, "[^\33-\126]") then
    return nil
  end
  for origin in pairs(route.redirect_origins) do
    if location == origin then
      return origin .. "/"
    elseif sub(location, 1, #origin + 1) == origin .. "/" then
      return location
    end
  end
  for _, origin in ipairs(route.upstream_origins) do
    if sub(location, 1, #origin + 1) == origin .. "/" then
      location = sub(location, #origin + 1)
    end
  end
  local before_fragment = location:match("^[^#]*")
  local path = target.parse(before_fragment)
  local prefix = route.add_prefix
  if not path or prefix ~= "" and path ~= prefix and sub(path, 1, #prefix + 1) ~= prefix .. "/" then
    return nil
  end
  return route.strip_prefix .. sub(location, #prefix + 1)
end

--- Puts one of our errors in the place of the answer; the body filter then lets nothing of the API's body through.
local function replace(settings, code, members, origin)
  for name in pairs(ngx.resp.get_headers(0, true)) do
    if not framing[lower(name)] then
      ngx.header[name] = nil
    end
  end
  ngx.ctx.token_handler_body = answer.prepare(settings, code, origin, members)
end

local checks_lengths = ngx.config.nginx_version >= 1023000

--- False for an answer that two readers would cut differently (HX-3, HX-30): nginx passes what has no status line on as
-- HTTP/0.9, with a head written by the API, and before 1.23 it takes several lengths.
local function is_framed_once()
  if http_version() < 1 then
    return false
  end
  local length = not checks_lengths and ngx.var.upstream_http_content_length
  if length and ngx.req.get_method() ~= "HEAD" then
    return find(length, "^%d+$")
      and not ngx.var.upstream_http_transfer_encoding
      and tonumber(ngx.header.content_length) == tonumber(length)
  end
  return true
end

--- Header filter of a route: refusals of the API become ours, and fields by which it would speak for more are dropped.
function M.filter_header(settings, route)
  if not ngx.var.upstream_status then
    return -- an answer of our own
  elseif not is_framed_once() then
    return ngx.exit(ngx.ERROR)
  end
  local fields = ngx.resp.get_headers(0, true)
  setmetatable(fields, nil)
  local var, status = ngx.var, ngx.status
  local authorization = var.th_authorization
  local token = authorization ~= "" and sub(authorization, 8) or nil
  if status == 401 or status == 403 then
    local code, members = challenge.refusal(status, var.upstream_http_www_authenticate)
    if code then
      return replace(settings, code, members, var.http_origin)
    end
  end
  local location
  for name, value in pairs(fields) do
    local plain = lower(name)
    if plain == "location" then
      location = value
    end
    if type(value) == "table" then
      value = table.concat(value, ", ")
    end
    -- An API that echoes the token must not hand it to the browser (HX-24).
    if is_refused(plain) or token and #value >= #token and find(value, token, 1, true) then
      ngx.header[name] = nil
    end
  end
  local connection = var.upstream_http_connection
  if connection and connection ~= "keep-alive" and connection ~= "close" then
    for option in connection:gmatch("[^,%s]+") do
      if not framing[lower(option)] then
        ngx.header[option] = nil
      end
    end
  end
  if location then
    local visible = type(location) == "string" and M.public_location(location, route)
    if not visible and status >= 300 and status < 400 then
      return replace(settings, "upstream_invalid_response", "", var.http_origin)
    end
    ngx.header["Location"] = visible or nil
  end
  local caching = var.upstream_http_cache_control
  if caching then
    var.th_cache_control = M.private_caching(caching)
  end
  if settings.has_cors then
    answer.allow_origin(settings, var.http_origin)
  end
end

--- Body filter of a route.
function M.filter_body()
  local status = ngx.status
  if status ~= 401 and status ~= 403 and status ~= 502 then
    return
  end
  local body = ngx.ctx.token_handler_body
  if not body then
    return
  end
  ngx.arg[1] = ngx.ctx.token_handler_sent and "" or body
  ngx.arg[2] = true
  ngx.ctx.token_handler_sent = true
end

return M
