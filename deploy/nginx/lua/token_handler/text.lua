--- Text without the white space around it.

local find, match = string.find, string.match

local M = {}

--- Takes time in proportion to the length. A pattern for the whole, "^%s*(.-)%s*$", would try each inner space as the end,
-- so that one line of 15,000 spaces, from anybody, would hold a worker for a second.
function M.trimmed(text)
  local from = find(text, "%S")
  -- From there on the search succeeds at once: it cannot begin anew at each character.
  return from and match(text, ".*%S", from) or ""
end

return M
