--- The decision of the OAuth proxy inside nginx: gate, route, guard, session, then the credential of the user.
-- The steps and their order are those of oauth-proxy/decide.ts; what needs more than the cookie is not decided here,
-- those routes are handed to the proxy by the generated configuration.

local answer = require "token_handler.answer"
local challenge = require "token_handler.challenge"
local crypto = require "token_handler.crypto"
local guard = require "token_handler.guard"
local head = require "token_handler.head"
local keys = require "token_handler.keys"
local memory = require "token_handler.memory"
local response = require "token_handler.response"
local routes = require "token_handler.routes"
local session = require "token_handler.session"
local target = require "token_handler.target"

local get_method, now = ngx.req.get_method, ngx.now
local find, sub = string.find, string.sub

local M = {}

local settings, match_route, sessions

--- Takes the generated settings and reads the key ring; called once, in init_by_lua, by the master process.
-- A reload of nginx reads both again, and keeps the old workers when one is bad.
function M.configure(given)
  settings = given
  local patterns = {}
  for id, group in pairs(given.groups) do
    patterns[id] = group.path
  end
  match_route = routes.create(patterns)
  sessions = session.create(given, keys.load(given.key_file))
  head.configure(given)
  response.configure(given)
  memory.keep_freed()
end

--- Tells the log of a refusal, and answers its code. Only names from our own lists are logged, so nobody can write log
--- lines of their own.
local function refused(code, check)
  ngx.log(settings.errors[code].level, "token handler: request refused, error_code=", code, " check=", check or "-")
  return code
end

local function forwardable(others, allowed)
  local kept = {}
  for _, pair in ipairs(others) do
    local equals = pair:find("=", 1, true)
    if equals and allowed[pair:sub(1, equals - 1)] then
      kept[#kept + 1] = pair
    end
  end
  return table.concat(kept, "; ")
end

--- True for a request that has been here before (RFC 9110 §7.6.3).
local function runs_in_a_circle(via)
  for entry in via:gmatch("[^,]+") do
    if entry:match("^%s*%S+%s+(%S+)") == "token-handler" then
      return true
    end
  end
  return false
end

--- The target as it arrived: for `GET http://host/path` the variables of nginx hold the path only.
local function target_of(line, method)
  return sub(line, #method + 2, -10)
end

--- The target for the API: one prefix taken off, another put before, everything else byte for byte.
local function rewritten(request_uri, path, route)
  local rest = path:sub(#route.strip_prefix + 1)
  local query = request_uri:sub(#path + 1)
  return route.add_prefix .. (rest == "" and route.add_prefix == "" and "/" or rest) .. query
end

--- The gate: error code and name of the check, nil for a request that passes; then its fields, method, target and path.
local function read_request(keeps)
  local fields, code, check = head.read(settings.hosts, keeps)
  if not fields then
    return code, check
  end
  local method, line = get_method(), ngx.var.request
  check = head.check_version(line, fields)
  if check then
    return "ambiguous_request", check
  end
  local request_uri = target_of(line, method)
  local path, problem = target.parse(request_uri)
  if not path then
    return "ambiguous_request", problem
  end
  return nil, nil, fields, method, request_uri, path
end

--- Decides whether a request may go on to the proxy, which decides everything else: "allowed", or an error code.
-- Before the proxy sees it, nginx takes Connection and Expect off, and says HTTP/1.1 and the path alone in the first line.
function M.check_head()
  local code, check = read_request(true)
  if code then
    ngx.var.th_request_id = crypto.new_id()
    return refused(code, check)
  end
  return "allowed"
end

--- Decides the request for a location of the group `id`. "allowed" leaves what the API shall see in variables; with
--- anything else, an error code or "preflight", the generated configuration goes to `answer_decision` and to no API.
-- Runs in set_by_lua, which unlike the other phases needs no coroutine per request.
function M.decide(id)
  local var = ngx.var
  var.th_request_id = crypto.new_id()
  local code, check, fields, method, request_uri, path = read_request(false)
  if code then
    return refused(code, check)
  end
  if fields.via then
    if runs_in_a_circle(fields.via) then
      return refused("ambiguous_request", "loop")
    end
    var.th_via = fields.via .. ", 1.1 token-handler"
  end
  -- nginx chose this location by its own reading of the path; ours must come to the same end.
  if match_route(path) ~= id then
    return refused("route_not_found")
  end

  local group = settings.groups[id]
  if method == "OPTIONS" and fields.origin and fields["access-control-request-method"] then
    code = answer.preflight_problem(settings, fields, group)
    return code and refused(code, "preflight") or "preflight"
  end
  local route = group.routes[method]
  if not route then
    return refused("method_not_allowed", "route")
  end
  code, check = guard.check(method, fields, settings, route.headerless)
  if code then
    return refused(code, check)
  end

  local found
  found, code, check = sessions.read(fields.cookie, now())
  if not found then
    return refused(code, check)
  end
  local content = found.content
  if content and settings.csrf_required and fields["token-handler-version"] then
    if not sessions.is_csrf_token(content, fields["x-csrf-token"]) then
      return refused("csrf_token_invalid")
    end
  end
  if not content and not route.anonymous then
    return refused("session_missing")
  end

  if route.credential and content then
    if not found.authorization then
      return refused(found.code, found.check)
    end
    var.th_authorization = found.authorization
    response.expect_token(#found.content.access_token)
  end
  if route.forward_cookies then
    var.th_cookie = forwardable(found.others, route.forward_cookies)
  end
  if route.rewrites then
    var.th_target = rewritten(request_uri, path, route)
  end
  -- nginx looks at the length in the location that it comes to first, which the routes of one path share.
  if route.max_body_bytes and (tonumber(fields["content-length"]) or 0) > route.max_body_bytes then
    return refused("payload_too_large")
  end
  return "allowed"
end

--- Goes on to the location of the route, where the methods of the group `id` go to different APIs.
function M.pass_on(id)
  return ngx.exec(settings.groups[id].routes[get_method()].location)
end

--- Answers a request that `decide` has not allowed.
function M.answer_decision()
  local var = ngx.var
  local code, origin, group = var.th_decision, var.http_origin, settings.groups[tonumber(var.th_group)]
  -- nginx would ask for a body that nobody is going to read (RFC 9110 §10.1.1).
  ngx.req.clear_header("Expect")
  if code == "preflight" then
    return answer.preflight(settings, origin, group)
  elseif code == "method_not_allowed" then
    ngx.header["Allow"] = table.concat(group.methods, ", ")
  end
  return answer.refuse(settings, settings.errors[code] and code or "server_error", origin)
end

--- Header filter of a location of the group `id`.
function M.filter_header(id)
  local instead = response.filter_header(settings, settings.groups[id].routes)
  if instead then
    return ngx.exit(instead)
  end
end

--- What Allow says of the path in a request line that nginx refused for its method; by then nginx has made a GET of it.
-- Where no route is, no method is allowed, and the field is there without a value (RFC 9110 §10.2.1); of one without a
-- space nginx makes none.
local function allowed_methods(line)
  local path = target.parse(target_of(line, line:match("^[^ ]*")))
  local group = path and settings.groups[match_route(path)]
  return group and table.concat(group.methods, ", ") or " "
end

--- Answers in place of an error page of nginx.
function M.fail(code)
  local var = ngx.var
  if not var.th_request_id or var.th_request_id == "" then
    var.th_request_id = crypto.new_id()
  end
  -- nginx leaves the name of the group where no server could be chosen, which with one server means that it is busy.
  if code == "upstream_unreachable" and find(var.upstream_addr or "", "^th_route_") then
    code = "overloaded"
  end
  if code == "method_not_allowed" then
    ngx.header["Allow"] = allowed_methods(var.request)
  end
  return answer.refuse(settings, refused(code, "nginx"), var.http_origin)
end

--- Answers in place of an API that refused the credential.
function M.refuse_for_api()
  local var = ngx.var
  -- Where a name has several addresses, the statuses of those that were tried before stand in front.
  local status = tonumber(var.upstream_status:match("%d+$"))
  local code, members = challenge.refusal(status, var.upstream_http_www_authenticate, response.token())
  ngx.log(settings.errors[code].level, "token handler: refused by the API, error_code=", code)
  return answer.refuse(settings, code, var.http_origin, members)
end

return M
