--- Answers of our own: the JSON of shared/http/error-answer.ts and the CORS headers of shared/http/cors.ts.
-- Headers that all answers of a location share (no-store, nosniff, …) are said by its add_header directives.

local M = {}

local EXPOSED = "token-handler-error, x-request-id, retry-after, etag, location, content-disposition, content-range"
local REQUESTABLE = "token-handler-version, x-csrf-token, content-type, if-match, if-none-match, if-modified-since, "
  .. "if-unmodified-since, idempotency-key, range, traceparent, tracestate"

--- Lets the page of an exactly listed origin read the answer; true if it is one.
function M.allow_origin(settings, origin)
  if not origin or not settings.cors_origins[origin] then
    return false
  end
  local header = ngx.header
  header["Access-Control-Allow-Origin"] = origin
  header["Access-Control-Allow-Credentials"] = "true"
  header["Access-Control-Expose-Headers"] = EXPOSED
  return true
end

--- Sets status and headers for the row of `code` and answers the body; `members` are further JSON members as text.
function M.prepare(settings, code, origin, members)
  local row = settings.errors[code]
  local body = row.body:sub(1, -2) .. (members or "") .. "}"
  local header = ngx.header
  ngx.status = row.status
  header["Content-Type"] = "application/json"
  header["Content-Length"] = #body
  header["Token-Handler-Error"] = code
  header["Retry-After"] = row.retry_after
  M.allow_origin(settings, origin)
  return body
end

--- Ends the request with the row of `code`.
function M.refuse(settings, code, origin)
  ngx.print(M.prepare(settings, code, origin))
  return ngx.exit(ngx.HTTP_OK)
end

--- Answers a CORS preflight (Fetch §4.8) for a path with these methods, or gives the error code for it.
function M.preflight(settings, fields, group)
  if not settings.cors_origins[fields.origin] then
    return "origin_not_allowed"
  elseif not group.allows[fields["access-control-request-method"]] then
    return "method_not_allowed"
  end
  M.allow_origin(settings, fields.origin)
  local header = ngx.header
  header["Access-Control-Allow-Methods"] = table.concat(group.methods, ", ")
  header["Access-Control-Allow-Headers"] = REQUESTABLE
  header["Access-Control-Max-Age"] = settings.cors_max_age_seconds
  ngx.exit(ngx.HTTP_NO_CONTENT)
  return nil
end

return M
