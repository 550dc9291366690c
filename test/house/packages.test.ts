import { expect, it } from 'vitest'
import { floors } from '../../bin/runtime.ts'
import { read } from './source-files.ts'

it('npm is told of the same Node releases that a start takes', () => {
  const releases = Object.entries(floors).map(([line, [minor, patch]]) => `${line}.${minor}.${patch}`)
  // A later line than the last is taken, too; between two lines there are only those that get no fixes any more.
  const ranges = releases.map((release, index) => `${index === releases.length - 1 ? '>=' : '^'}${release}`)
  const { engines } = JSON.parse(read('package.json')) as { engines: unknown }
  const lock = JSON.parse(read('package-lock.json')) as { packages: { '': { engines: unknown } } }
  expect(engines).toEqual({ node: ranges.join(' || ') })
  expect(lock.packages[''].engines).toEqual(engines)
})

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
