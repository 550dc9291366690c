import { spawnSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'

const file = new URL('../../bin/young-generation.ts', import.meta.url).href

/** What a process that says it is this release prints. */
function printed(node: string): string {
  const code = `import { keepYoungGenerationSmall } from '${file}'; keepYoungGenerationSmall({ versions: { node: '${node}' } })`
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', code], { encoding: 'utf8' })
  return stdout + stderr
}

describe('the young generation', () => {
  it('is kept small without a complaint of this release', () => {
    expect(printed(process.versions.node)).toBe('')
  })
  it('is left alone before Node 24, which does not know the flag', () => {
    expect(printed('22.23.2')).toBe('')
  })
})
