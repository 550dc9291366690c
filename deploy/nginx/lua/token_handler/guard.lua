--- Checks that a request which carries our cookies was made by our own page: the rules of shared/http/guard.ts.

local M = {}

local safe_methods = { GET = true, HEAD = true, OPTIONS = true }

local modes = {
  api = { ["cors"] = true, ["same-origin"] = true },
  download = { ["navigate"] = true },
}
local destinations = {
  api = { ["empty"] = true },
  download = { ["document"] = true, ["empty"] = true },
}

--- Which kind of request without our header this looks like; its Fetch Metadata still has to agree. Routes with kinds that
-- last, event streams and WebSockets, are the proxy's.
local function headerless_kind(method, fields)
  return method == "GET" and fields["sec-fetch-mode"] == "navigate" and "download" or nil
end

--- Fetch Metadata §2.3: the site covers the whole redirect chain, so it comes first and Origin must agree with it.
local function site_problem(fields, settings, needs_proof)
  local origin, site = fields.origin, fields["sec-fetch-site"]
  if site == "same-origin" then
    return origin and origin ~= settings.public_origin and "origin" or nil
  elseif site == "same-site" then
    return not (origin and settings.cors_origins[origin]) and "sec_fetch_site" or nil
  elseif site then
    return "sec_fetch_site"
  elseif not origin then
    return needs_proof and "origin" or nil
  end
  return origin ~= settings.public_origin and not settings.cors_origins[origin] and "origin" or nil
end

local function metadata_problem(fields, kind)
  local mode, destination = fields["sec-fetch-mode"], fields["sec-fetch-dest"]
  if mode and not modes[kind][mode] then
    return "sec_fetch_mode"
  elseif destination and not destinations[kind][destination] then
    return "sec_fetch_dest"
  end
  return nil
end

--- Nil when the request may go on, else error code and the name of the check.
function M.check(method, fields, settings, headerless)
  local version, kind = fields["token-handler-version"], "api"
  if version ~= "1" then
    kind = not version and headerless_kind(method, fields)
    if not kind or not headerless[kind] then
      return "header_missing"
    end
  end
  local problem = metadata_problem(fields, kind)
    or site_problem(fields, settings, kind ~= "api" or not safe_methods[method])
  if problem then
    return "origin_not_allowed", problem
  end
  return nil
end

return M
