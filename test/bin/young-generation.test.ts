import { spawnSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { keepYoungGenerationSmall } from '../../bin/young-generation.ts'

const file = new URL('../../bin/young-generation.ts', import.meta.url).href

/** The flags that a process of this release sets. */
function flagsOf(node: string): string[] {
  const flags: string[] = []
  keepYoungGenerationSmall({ versions: { node } }, (flag) => flags.push(flag))
  return flags
}

describe('the young generation', () => {
  it('is kept small without a complaint of this release, on standard error or elsewhere', () => {
    const code = `import { keepYoungGenerationSmall } from '${file}'; keepYoungGenerationSmall(process)`
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', code], { encoding: 'utf8' })
    expect(stdout + stderr).toBe('')
  })
  it('is kept small by Node 24', () => {
    expect(flagsOf('24.18.1')).toEqual(['--scavenger-max-new-space-capacity-mb=4'])
  })
  it.each(['22.23.2', '26.5.1', '28.0.0'])('is left alone by Node %s, which does not know the flag', (node) => {
    expect(flagsOf(node)).toEqual([])
  })
})
