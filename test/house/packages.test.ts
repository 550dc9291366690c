import { expect, it } from 'vitest'
import { read } from './source-files.ts'

it('the workflow installs every package that the suites need', () => {
  const needed = [...read('.ci/run').matchAll(/missing\+=\(([\w.-]+)\)/g)].map((match) => String(match[1]))
  const workflow = read('.github/workflows/ci.yml')
  const installed = [...workflow.matchAll(/(?:packages:|--no-install-recommends) (.*)/g)].flatMap((match) =>
    String(match[1]).split(' '),
  )
  expect(needed.length).toBeGreaterThan(10)
  expect(needed.filter((name) => !installed.includes(name))).toEqual([])
})

it('whoever installs the package keeps their own Node', () => {
  const about = JSON.parse(read('package.json')) as Record<string, object | undefined>
  expect(about['optionalDependencies']).toBeUndefined()
  expect(Object.keys(about['dependencies'] ?? {}).filter((name) => /^node(?:-|$)/.test(name))).toEqual([])
})
