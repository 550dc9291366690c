--- Reads JSON (RFC 8259), strictly; used for the key ring only, so plainness comes before speed.

local M = {}

local escapes = {
  ['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t",
}

local read_value

local function skip(text, at)
  return text:find("[^ \t\r\n]", at) or #text + 1
end

local function expect(condition)
  if not condition then
    error("not JSON", 0)
  end
end

local function read_string(text, at)
  local parts = {}
  while true do
    local stop = text:find('[%c"\\]', at)
    expect(stop)
    parts[#parts + 1] = text:sub(at, stop - 1)
    local mark = text:sub(stop, stop)
    if mark == '"' then
      return table.concat(parts), stop + 1
    end
    local escape = mark == "\\" and escapes[text:sub(stop + 1, stop + 1)]
    -- Nothing in a key ring needs \u, and a spelling that nobody needs is one that nobody has to get right.
    expect(escape)
    parts[#parts + 1] = escape
    at = stop + 2
  end
end

local function read_list(text, at)
  local list = {}
  at = skip(text, at)
  if text:sub(at, at) == "]" then
    return list, at + 1
  end
  while true do
    list[#list + 1], at = read_value(text, at)
    at = skip(text, at)
    local mark = text:sub(at, at)
    expect(mark == "," or mark == "]")
    at = at + 1
    if mark == "]" then
      return list, at
    end
  end
end

local function read_object(text, at)
  local object = {}
  at = skip(text, at)
  if text:sub(at, at) == "}" then
    return object, at + 1
  end
  while true do
    at = skip(text, at)
    expect(text:sub(at, at) == '"')
    local name
    name, at = read_string(text, at + 1)
    at = skip(text, at)
    expect(text:sub(at, at) == ":" and object[name] == nil)
    object[name], at = read_value(text, at + 1)
    at = skip(text, at)
    local mark = text:sub(at, at)
    expect(mark == "," or mark == "}")
    at = at + 1
    if mark == "}" then
      return object, at
    end
  end
end

function read_value(text, at)
  at = skip(text, at)
  local mark = text:sub(at, at)
  if mark == "{" then
    return read_object(text, at + 1)
  elseif mark == "[" then
    return read_list(text, at + 1)
  elseif mark == '"' then
    return read_string(text, at + 1)
  end
  local number = text:match("^%d+", at)
  expect(number)
  return tonumber(number), at + #number
end

--- The value of a JSON text of objects, lists, strings and whole numbers; throws for anything else.
function M.decode(text)
  local value, at = read_value(text, 1)
  expect(skip(text, at) == #text + 1)
  return value
end

return M
