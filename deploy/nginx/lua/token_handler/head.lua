--- The one reading of a request's head: the rules of shared/http/request-gate.ts for what nginx lets through, and which
--- fields may travel on to an API (oauth-proxy/forward/request-headers.ts).

local ffi = require "ffi"
local base = require "resty.core.base"
require "resty.core.request"
local text = require "token_handler.text"

ffi.cdef "int memcmp(const void *a, const void *b, size_t length);"

local C, ffi_string = ffi.C, ffi.string
local find, lower, sub = string.find, string.lower, string.sub
local clear_header, matches = ngx.req.clear_header, ngx.re.find

local M = {}

local MOST_HEADERS = 100
local REMEMBERED = 512

local function set_of(list)
  local set = {}
  for _, name in ipairs(list) do
    set[name] = true
  end
  return set
end

-- Removing one of these by naming it in Connection would change who the request speaks for (HX-5).
local never_hop_by_hop = {
  ["authorization"] = true, ["cookie"] = true, ["early-data"] = true, ["host"] = true, ["origin"] = true,
  ["token-handler-version"] = true, ["x-csrf-token"] = true,
}

-- RFC 9113 §8.2.2: fields of an HTTP/1.1 connection have no place in HTTP/2.
local connection_specific = { "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade" }

-- Fields whose values are lists (RFC 9110 §5.3); every other known or unknown field is refused when repeated.
local list_fields = {}
-- Families of names that gateways and APIs believe because they think a gateway wrote them. Single names are taken out
-- by the generated configuration, which costs nothing per request.
local managed_prefixes, statically_removed = {}, {}

local function is_managed(name)
  for i = 1, #managed_prefixes do
    if sub(name, 1, #managed_prefixes[i]) == managed_prefixes[i] then
      return true
    end
  end
  return false
end

local rows, remembered = {}, 0

--- Takes the lists that the module shares with the proxy; fails for a configuration of another version, without them.
function M.configure(settings)
  list_fields = set_of(settings.list_request_headers)
  managed_prefixes = assert(settings.managed_request_prefixes)
  statically_removed = set_of(settings.removed_request_headers)
end

--- A row for what a name means; names are what clients make up, so the memory is emptied when it is full.
local function learn(name)
  if remembered == REMEMBERED then
    rows, remembered = {}, 0
  end
  local row = {
    -- "_" and "." are refused because CGI-style readers take X_User for X-User (H02).
    is_refused = find(name, "[^a-z0-9-]") ~= nil,
    is_list = list_fields[name] or false,
    is_removed = is_managed(name) and not statically_removed[name],
    -- Read by token_handler.cookie_header, which has a rule of its own.
    is_judged_later = name == "cookie",
    -- A value that passed the checks.
    value = "",
  }
  rows[name], remembered = row, remembered + 1
  return row
end

local SHORT = 256
local plain_values, plain_count = {}, 0

--- True for printable ASCII and tabs. Short values repeat from request to request, so they are remembered for a while.
local function is_plain(value)
  if plain_values[value] then
    return true
  end
  if find(value, "[^\t\32-\126]") then
    return false
  end
  if #value <= SHORT then
    if plain_count == REMEMBERED then
      plain_values, plain_count = {}, 0
    end
    plain_values[value], plain_count = true, plain_count + 1
  end
  return true
end

-- A proxy writes the trace anew, so it is its own field by then, whatever Connection says of that of the caller.
local traced = { traceparent = true, tracestate = true }

--- False for a value that names what must not be taken out; else what it names is, unless `keeps`.
local function check_connection(value, keeps)
  for option in value:gmatch("[^,]+") do
    local name = lower(text.trimmed(option))
    if never_hop_by_hop[name] or sub(name, 1, 8) == "content-" or sub(name, 1, 12) == "x-forwarded-" then
      return false
    end
    if not keeps and not traced[name] then
      clear_header(name)
    end
  end
  return true
end

-- W3C Trace Context §3.2, as shared/observe/trace-context.ts reads it.
local trace_form = [[^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}\z]]

--- True for the trace of a caller, which goes on to the API; tracestate means nothing without it.
local function is_trace(traceparent)
  return traceparent ~= nil and matches(traceparent, trace_form, "jo") ~= nil
end

local function is(known, data, length)
  return #known == length and C.memcmp(known, data, length) == 0
end

--- The value of a line, or nil for one that is not plain. What stood in this field the last time has passed the checks.
local function value_of(row, data, length)
  if is(row.value, data, length) then
    return row.value
  end
  local value = ffi_string(data, length)
  if not row.is_judged_later and not is_plain(value) then
    return nil
  elseif length <= SHORT then
    row.value = value
  end
  return value
end

-- What ngx.req.get_headers is made of, asked directly, so that the fields are read in one compiled loop. Requests are
-- alike: to compare a line with what stood there in the last request costs less than to make strings and look them up.
-- For the same reason a name stays in the table of fields, without a value.
local lines = ffi.new("ngx_http_lua_ffi_table_elt_t[?]", MOST_HEADERS)
local truncated = ffi.new("int[1]")
local fields, names, filled = {}, {}, 0
for i = 1, MOST_HEADERS do
  names[i] = ""
end

--- Fields by lower-case name after every check, or nil, error code and the name of the check.
-- What an API must not see is taken out of the request on the way, unless the request `keeps` it for the proxy. The table
-- is used again for the next request.
function M.read(hosts, keeps)
  local request = base.get_request()
  for i = 1, filled do
    fields[names[i]] = nil
  end
  filled = 0
  local count = C.ngx_http_lua_ffi_req_get_headers_count(request, MOST_HEADERS, truncated)
  if truncated[0] ~= 0 or C.ngx_http_lua_ffi_req_get_headers(request, lines, count, 0) < 0 then
    return nil, "ambiguous_request", "header_count"
  end
  filled = count
  for i = 1, count do
    local key, content = lines[i - 1].key, lines[i - 1].value
    local name = names[i]
    if not is(name, key.data, tonumber(key.len)) then
      name = ffi_string(key.data, key.len)
      names[i] = name
    end
    local row = rows[name] or learn(name)
    local value = value_of(row, content.data, tonumber(content.len))
    local earlier = fields[name]
    if row.is_refused then
      return nil, "ambiguous_request", "header_name"
    elseif earlier and not row.is_list then
      return nil, "ambiguous_request", "repeated_header"
    elseif not value then
      return nil, "ambiguous_request", "header_value"
    end
    fields[name] = earlier and earlier .. ", " .. value or value
    if row.is_removed and not keeps then
      clear_header(name)
    end
  end
  local host = fields.host
  if not host or not hosts[host] and not hosts[lower(host)] then
    return nil, "host_not_allowed"
  end
  local connection = fields.connection
  if connection and connection ~= "keep-alive" and connection ~= "close" and not check_connection(connection, keeps) then
    return nil, "ambiguous_request", "connection_option"
  end
  if fields.expect and lower(fields.expect) ~= "100-continue" then
    return nil, "expectation_failed"
  end
  if not keeps and (fields.traceparent or fields.tracestate) and not is_trace(fields.traceparent) then
    clear_header("traceparent")
    clear_header("tracestate")
  end
  return fields
end

--- The name of the check that refuses an unknown version, or fields of HTTP/1.1 in a request of a later one; nil if none
--- does. `line` is the request line.
function M.check_version(line, fields)
  local version = sub(line, -9)
  if version == " HTTP/1.1" or version == " HTTP/1.0" then
    return nil
  elseif version ~= " HTTP/2.0" and version ~= " HTTP/3.0" then
    return "version"
  end
  for i = 1, #connection_specific do
    if fields[connection_specific[i]] then
      return "connection_specific_header"
    end
  end
  return nil
end

return M
