-- Apache asks the proxy whether a request may pass: an access checker for mod_lua.
-- Needs lua-socket (Debian: apt-get install lua-socket) and no other Lua package.

require "apache2"
local http = require "socket.http"
local ltn12 = require "ltn12"

local verify_url = os.getenv("TOKEN_HANDLER_VERIFY_URL") or "http://127.0.0.1:8082/oauth-proxy/verify"
local secret = os.getenv("TOKEN_HANDLER_GATEWAY_SECRET")
http.TIMEOUT = 15

-- What the answer says about the request; always taken, in place of what the browser sent.
local answer_headers = {
  "Authorization",
  "Cookie",
  "X-Auth-Subject",
  "X-Auth-Scope",
  "X-Auth-Acr",
  "X-Auth-Time",
  "X-Request-Id",
}

local refusal_headers = { "Cache-Control", "Token-Handler-Error", "X-Request-Id", "Retry-After" }

local not_asked = {
  ["host"] = true,
  ["connection"] = true,
  ["upgrade"] = true,
  ["te"] = true,
  ["trailer"] = true,
  ["expect"] = true,
  ["forwarded"] = true,
  ["keep-alive"] = true,
  ["content-length"] = true,
  ["transfer-encoding"] = true,
  ["token-handler-gateway"] = true,
}

-- Headers of browsers that no API of ours may take for the word of a gateway.
local function is_gateways(name)
  return name:find("^x%-auth%-") or name:find("^x%-original%-") or name:find("^x%-forwarded%-")
end

local function is_websocket(r)
  return (r.headers_in["Upgrade"] or ""):lower() == "websocket"
end

local function question_headers(r)
  local headers = {}
  for name, value in pairs(r:headers_in_table()) do
    local lower = name:lower()
    if not not_asked[lower] and not is_gateways(lower) then
      headers[lower] = value
    end
  end
  headers["x-original-method"] = r.method
  headers["x-original-host"] = r.headers_in["Host"] or ""
  headers["x-original-uri"] = r.unparsed_uri
  headers["x-forwarded-for"] = r.useragent_ip
  headers["token-handler-gateway"] = secret
  -- What is passed on is what was decided on.
  if is_websocket(r) then
    headers["upgrade"] = "websocket"
  end
  return headers
end

local function refuse(r, status, body)
  r:custom_response(status, body)
  r.subprocess_env["token_handler_refused"] = "1"
  return status
end

function ask(r)
  local body = {}
  local asked, status, headers = http.request({
    url = verify_url,
    method = "GET",
    headers = question_headers(r),
    sink = ltn12.sink.table(body),
    redirect = false,
  })
  if asked and status == 200 then
    for name in pairs(r:headers_in_table()) do
      if is_gateways(name:lower()) then
        r.headers_in[name] = nil
      end
    end
    for _, name in ipairs(answer_headers) do
      r.headers_in[name] = headers[name:lower()] or ""
    end
    -- "Connection: authorization" would take away what was just set; h2c and the rest would leave the request.
    local websocket = is_websocket(r)
    r.headers_in["Connection"] = websocket and "Upgrade" or nil
    if not websocket then
      r.headers_in["Upgrade"] = nil
    end
    return apache2.OK
  end
  if asked and status >= 400 and headers["token-handler-error"] then
    for _, name in ipairs(refusal_headers) do
      local value = headers[name:lower()]
      if value then
        r.err_headers_out[name] = value
      end
    end
    return refuse(r, status, table.concat(body))
  end
  r.err_headers_out["Retry-After"] = "1"
  return refuse(r, 503, '{"error_code":"overloaded","detailed_error":"The server is busy.","retry_after":1}')
end
