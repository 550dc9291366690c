--- Answers of our own: the JSON of shared/http/error-answer.ts and the CORS headers of shared/http/cors.ts.
-- Headers that all answers of a location share (no-store, nosniff, …) are said by its add_header directives.

local M = {}

--- Lets the page of an exactly listed origin read the answer.
function M.allow_origin(settings, origin)
  if origin and settings.cors_origins[origin] then
    local header = ngx.header
    header["Access-Control-Allow-Origin"] = origin
    header["Access-Control-Allow-Credentials"] = "true"
    header["Access-Control-Expose-Headers"] = settings.cors_expose_headers
  end
end

--- Ends the request with the row of `code`; `members` are further JSON members as text.
function M.refuse(settings, code, origin, members)
  local row = settings.errors[code]
  local body = row.body:sub(1, -2) .. (members or "") .. "}"
  local header = ngx.header
  ngx.status = row.status
  header["Content-Type"] = "application/json"
  header["Content-Length"] = #body
  header["Token-Handler-Error"] = code
  header["Retry-After"] = row.retry_after
  M.allow_origin(settings, origin)
  ngx.send_headers()
  ngx.print(body)
  return ngx.exit(ngx.HTTP_OK)
end

--- The error code for a CORS preflight (Fetch §4.8) to a path with the methods of `group`, or nil if it may be answered.
function M.preflight_problem(settings, fields, group)
  if not settings.cors_origins[fields.origin] then
    return "origin_not_allowed"
  elseif not group.allows[fields["access-control-request-method"]] then
    return "method_not_allowed"
  end
  return nil
end

--- Answers a CORS preflight in which there is no problem.
function M.preflight(settings, origin, group)
  M.allow_origin(settings, origin)
  local header = ngx.header
  ngx.status = ngx.HTTP_NO_CONTENT
  header["Access-Control-Allow-Methods"] = table.concat(group.methods, ", ")
  header["Access-Control-Allow-Headers"] = settings.cors_allow_headers
  header["Access-Control-Max-Age"] = settings.cors_max_age_seconds
  ngx.send_headers()
  return ngx.exit(ngx.HTTP_OK)
end

return M
