--- The most specific route of a path: the rules of oauth-proxy/routes/route-table.ts.

local find, sub, lower = string.find, string.sub, string.lower

local M = {}

local function branch()
  return { literals = {}, folded = {}, exact = nil, subtree = nil, wildcard = nil }
end

local function add(root, pattern, id)
  local at = root
  for segment in pattern:gmatch("[^/]+") do
    if segment == "**" then
      at.subtree = id
      return
    elseif segment == "*" then
      at.wildcard = at.wildcard or branch()
      at = at.wildcard
    else
      at.literals[segment] = at.literals[segment] or branch()
      at.folded[lower(segment)] = true
      at = at.literals[segment]
    end
  end
  at.exact = id
end

local function tree(patterns)
  local root = branch()
  for id, pattern in pairs(patterns) do
    add(root, pattern, id)
  end
  return root
end

local REFUSED = false

--- The id of the pattern that covers the path from `from` on; nil for none, false for a spelling that only an API
--- blind to case would take for one of ours (G18).
local function search(at, path, from)
  if from > #path then
    return at.exact or at.subtree
  end
  local slash = find(path, "/", from, true) or #path + 1
  local segment = sub(path, from, slash - 1)
  local next = at.literals[segment]
  if next then
    local found = search(next, path, slash + 1)
    if found ~= nil then
      return found
    end
  elseif at.folded[lower(segment)] then
    return REFUSED
  end
  local found = nil
  if at.wildcard then
    found = search(at.wildcard, path, slash + 1)
  end
  if found == nil then
    return at.subtree
  end
  return found
end

local REMEMBERED, LONGEST = 512, 256

--- Answers a function (path) that gives the id of the most specific pattern, or nil. A trailing slash is the same route
-- as without. What it found for a path is remembered, up to a bound.
function M.create(patterns)
  local root = tree(patterns)
  local ids, remembered = {}, 0
  return function(path)
    local known = ids[path]
    if known then
      return known
    end
    local id = search(root, path, 2) or nil
    if id and #path <= LONGEST then
      if remembered == REMEMBERED then
        ids, remembered = {}, 0
      end
      ids[path], remembered = id, remembered + 1
    end
    return id
  end
end

return M
