--- Answers of our own: the JSON of shared/http/error-answer.ts and the CORS headers of shared/http/cors.ts.

local M = {}

local EXPOSED = "token-handler-error, x-request-id, retry-after, etag, location, content-disposition, content-range"
local REQUESTABLE = "token-handler-version, x-csrf-token, content-type, if-match, if-none-match, if-modified-since, "
  .. "if-unmodified-since, idempotency-key, range, traceparent, tracestate"

local function allow_origin(settings, origin)
  local header = ngx.header
  header["Vary"] = "Origin"
  if not origin or not settings.cors_origins[origin] then
    return false
  end
  header["Access-Control-Allow-Origin"] = origin
  header["Access-Control-Allow-Credentials"] = "true"
  header["Access-Control-Expose-Headers"] = EXPOSED
  return true
end

--- Ends the request with the row of `code`; `fields` adds documented members to the JSON as text.
function M.refuse(settings, code, origin, fields)
  local row = settings.errors[code]
  local body = row.body:sub(1, -2) .. (fields or "") .. "}"
  local header = ngx.header
  ngx.status = row.status
  header["Content-Type"] = "application/json"
  header["Content-Length"] = #body
  header["Cache-Control"] = "no-store"
  header["X-Content-Type-Options"] = "nosniff"
  header["Cross-Origin-Resource-Policy"] = "same-origin"
  header["Token-Handler-Error"] = code
  header["X-Request-Id"] = ngx.var.request_id
  allow_origin(settings, origin)
  ngx.print(body)
  return ngx.exit(ngx.HTTP_OK)
end

--- Answers a CORS preflight (Fetch §4.8) for a path with these methods; nil when the origin or method is not allowed.
function M.preflight(settings, fields, methods)
  if not allow_origin(settings, fields.origin) then
    return "origin_not_allowed"
  elseif not methods[fields["access-control-request-method"]] then
    return "method_not_allowed"
  end
  local header = ngx.header
  header["Access-Control-Allow-Methods"] = methods.text
  header["Access-Control-Allow-Headers"] = REQUESTABLE
  header["Access-Control-Max-Age"] = settings.cors_max_age_seconds
  header["Cache-Control"] = "no-store"
  header["X-Request-Id"] = ngx.var.request_id
  return ngx.exit(ngx.HTTP_NO_CONTENT)
end

return M
