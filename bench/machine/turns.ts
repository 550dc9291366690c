import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Writes a script for wrk that sends each request as the next of these browsers, given by their header lines. */
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
local turn = 0
wrk.method = "${method}"
request = function()
  turn = turn % #cookies + 1
  wrk.headers["Cookie"] = cookies[turn]
  return wrk.format()
end
`,
  )
  return script
}
