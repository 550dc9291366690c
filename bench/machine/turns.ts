import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { defaultConnections } from './wrk.ts'

/**
 * Writes a script for wrk that sends each request as the next of these browsers, given by their header lines; each load
 * goes on where the one before it has ended.
 */
export function takingTurns(
  folder: string,
  name: string,
  browsers: readonly (readonly string[])[],
  method: 'GET' | 'POST',
): string {
  const list = join(folder, `${name}.txt`)
  const cookies = browsers.map((lines) => lines.find((line) => line.startsWith('Cookie: ')) ?? '')
  writeFileSync(list, cookies.map((line) => line.slice('Cookie: '.length)).join('\n'))
  const script = join(folder, `${name}.lua`)
  writeFileSync(
    script,
    `local cookies = {}
for line in io.lines("${list}") do cookies[#cookies + 1] = line end
local reached = io.open("${list}.turn")
local turn = reached and reached:read("*n") or 0
local began = turn
wrk.method = "${method}"
request = function()
  turn = turn % #cookies + 1
  wrk.headers["Cookie"] = cookies[turn]
  return wrk.format()
end
done = function(summary)
  local file = io.open("${list}.turn", "w")
  -- Each connection may have sent one more than was answered.
  file:write(began + summary.requests + ${defaultConnections})
  file:close()
end
`,
  )
  return script
}
