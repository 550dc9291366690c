-- HAProxy asks the proxy whether a request may pass. One action, "token_handler_ask": after it, txn.token_handler_pass is
-- true and the txn.token_handler_* variables hold the headers for the API; otherwise the refusal has been answered.
-- Needs HAProxy 2.6 or later and no other Lua package.

local verify_url = os.getenv("TOKEN_HANDLER_VERIFY_URL") or "http://127.0.0.1:8082/oauth-proxy/verify"
local secret = os.getenv("TOKEN_HANDLER_GATEWAY_SECRET")

-- What the answer says about the request; always taken, empty or not, in place of what the browser sent.
local answer_headers = {
  authorization = "token_handler_authorization",
  cookie = "token_handler_cookie",
  ["x-auth-subject"] = "token_handler_subject",
  ["x-auth-scope"] = "token_handler_scope",
  ["x-auth-acr"] = "token_handler_acr",
  ["x-auth-time"] = "token_handler_time",
  ["x-request-id"] = "token_handler_request_id",
}

local refusal_headers = { "content-type", "cache-control", "token-handler-error", "x-request-id", "retry-after" }

local not_asked = {
  host = true,
  connection = true,
  upgrade = true,
  te = true,
  trailer = true,
  expect = true,
  forwarded = true,
  ["keep-alive"] = true,
  ["content-length"] = true,
  ["transfer-encoding"] = true,
  ["token-handler-gateway"] = true,
}

-- The browser's headers, without those that speak of the connection and those in which we speak ourselves.
local function question_headers(txn)
  local headers = {}
  local host
  for name, values in pairs(txn.http:req_get_headers()) do
    local list = {}
    for index = 0, #values do
      list[#list + 1] = values[index]
    end
    if name == "host" then
      host = list
    elseif not not_asked[name] and not name:find("^x%-original%-") and not name:find("^x%-forwarded%-") then
      headers[name] = list
    end
  end
  headers["x-original-method"] = { txn.f:method() }
  headers["x-original-host"] = host or { "" }
  headers["x-original-uri"] = { txn.f:pathq() }
  headers["x-forwarded-for"] = { txn.f:src() }
  if secret then
    headers["token-handler-gateway"] = { secret }
  end
  return headers
end

local function first(response, name)
  local values = response.headers and response.headers[name]
  return values and values[0] or ""
end

local function refuse(txn, status, headers, body)
  headers["content-length"] = { tostring(#body) }
  txn:done(txn:reply({ status = status, headers = headers, body = body }))
end

local function refuse_as_answered(txn, response)
  local headers = {}
  for _, name in ipairs(refusal_headers) do
    local value = first(response, name)
    if value ~= "" then
      headers[name] = { value }
    end
  end
  refuse(txn, response.status, headers, response.body or "")
end

local function unavailable(txn)
  refuse(
    txn,
    503,
    { ["content-type"] = { "application/json" }, ["cache-control"] = { "no-store" }, ["retry-after"] = { "1" } },
    '{"error_code":"overloaded","detailed_error":"The server is busy.","retry_after":1}'
  )
end

core.register_action("token_handler_ask", { "http-req" }, function(txn)
  local asked, response = pcall(function()
    return core.httpclient():get({ url = verify_url, headers = question_headers(txn), timeout = 15000 })
  end)
  if not asked or response == nil or response.status == nil then
    unavailable(txn)
  elseif response.status == 200 then
    for name, variable in pairs(answer_headers) do
      txn:set_var("txn." .. variable, first(response, name))
    end
    txn:set_var("txn.token_handler_pass", true)
  elseif response.status >= 400 and first(response, "token-handler-error") ~= "" then
    refuse_as_answered(txn, response)
  else
    unavailable(txn)
  end
end, 0)
