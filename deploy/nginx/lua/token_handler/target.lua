--- The gate for request targets: the rules of oauth-proxy/gate/path.ts, never laxer.

local matches = ngx.re.find
local find, sub, lower = string.find, string.sub, string.lower

local M = {}

-- A path without escapes, empty segments and segments that end in a dot, and no query: what nearly all requests have.
-- Possessive, because PCRE would else note every step to come back to, and give up on long paths.
local plain_path = [[^/(?!/)(?:[A-Za-z0-9_~!$&'()*+,=:@-]++|\.(?!/|$)|/(?!/))*+$]]
local path_characters = [[^/(?:[A-Za-z0-9._~!$&'()*+,=:@/-]++|%[0-9A-Fa-f]{2})*+$]]
local unstable_segment = [[//|(?:\.|%20)(?:/|$)]]
local structural_escape =
  [[%(?:[01][0-9A-Fa-f]|7[Ff]|2[DdEeFf]|3[0-9Bb]|4[1-9A-Fa-f]|5[0-9AaCcFf]|6[1-9A-Fa-f]|7[0-9AaEe]|25[0-9A-Fa-f]{2})]]
local query_characters = [[^[\x21\x22\x24-\x7e]*$]]
local token_parameter = [[(?:^|[?&;])access_token(?:=|&|;|$)]]

-- Characters that compatibility normalisation (NFKC) turns into "/", ";" or "\", alone or among others, and those that
-- the tables of some systems take for a slash: alone, in fractions and in units such as "m/s".
local folding = [=[[\x{BC}-\x{BE}\x{037E}\x{2044}\x{2100}\x{2101}\x{2105}\x{2106}\x{2150}-\x{215F}\x{2189}\x{2215}]=]
  .. [=[\x{2216}\x{29F5}\x{29F8}\x{29F9}\x{33A7}\x{33A8}\x{33AE}\x{33AF}\x{33C6}\x{33DE}\x{33DF}\x{FE14}\x{FE54}]=]
  .. [=[\x{FE68}\x{FF0F}\x{FF1B}\x{FF3C}]]=]

-- Characters that it turns into a space, into dots or, as "Co." and "1.", into a word with a dot: at the end of a segment,
-- where some file systems drop both. Elsewhere they are part of a name, as "…" often is.
local unstable_end = [=[[\x{A0}\x{2000}-\x{200A}\x{2024}-\x{2026}\x{202F}\x{205F}\x{2488}-\x{249B}\x{3000}\x{33C2}]=]
  .. [=[\x{33C7}\x{33D8}\x{FE19}\x{FE30}\x{FE52}\x{FF0E}\x{1F100}](?:/|$)]=]

--- PCRE refuses to look at text that is not UTF-8, overlong forms and surrogates included.
local function is_utf8(text)
  local _, _, problem = matches(text, "^", "jou")
  return problem == nil
end

local function decode_once(text)
  return (text:gsub("%%(%x%x)", function(pair)
    return string.char(tonumber(pair, 16))
  end))
end

local function check_escapes(path)
  if matches(path, structural_escape, "jo") then
    return "path_escape"
  end
  local decoded = decode_once(path)
  if not is_utf8(decoded) then
    return "path_utf8"
  elseif matches(decoded, folding, "jou") or matches(decoded, unstable_end, "jou") then
    return "path_fold"
  end
  return nil
end

local function check_query(query)
  if not matches(query, query_characters, "jo") then
    return "query_character"
  end
  -- A token in the query would compete with the credential we attach (RFC 6750 §2).
  local decoded = find(query, "%", 1, true) and decode_once(query) or query
  if find(lower(decoded), "access_token", 1, true) and matches(lower(decoded), token_parameter, "jo") then
    return "query_token"
  end
  return nil
end

local function parse(target)
  local mark = find(target, "?", 1, true)
  local path = mark and sub(target, 1, mark - 1) or target
  if not matches(path, plain_path, "jo") then
    if not matches(path, path_characters, "jo") then
      return nil, "path_character"
    elseif matches(path, unstable_segment, "jo") then
      return nil, "path_segment"
    end
    local refused = check_escapes(path)
    if refused then
      return nil, refused
    end
  end
  local refused = mark and check_query(sub(target, mark))
  if refused then
    return nil, refused
  end
  return path
end

local REMEMBERED, LONGEST = 512, 256
local paths, remembered = {}, 0

--- The path of a request target, or nil and the name of the check that refused it; nothing is repaired.
-- What a target means never changes, so those that passed are remembered, up to a bound.
function M.parse(target)
  local known = paths[target]
  if known then
    return known
  end
  local path, problem = parse(target)
  if path and #target <= LONGEST then
    if remembered == REMEMBERED then
      paths, remembered = {}, 0
    end
    paths[target], remembered = path, remembered + 1
  end
  return path, problem
end

return M
