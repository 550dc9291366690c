import { spawnSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { suitCollector } from '../../bin/collector-flags.ts'

const file = new URL('../../bin/collector-flags.ts', import.meta.url).href

/** The flags that a process of this release sets. */
function flagsOf(node: string): string[] {
  const flags: string[] = []
  suitCollector({ versions: { node } }, (flag) => flags.push(flag))
  return flags
}

describe('the garbage collector', () => {
  it('is suited without a complaint of this release, on standard error or elsewhere', () => {
    const code = `import { suitCollector } from '${file}'; suitCollector(process)`
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', code], { encoding: 'utf8' })
    expect(stdout + stderr).toBe('')
  })
  it('gives buffers back soon, without marking the heap or waking other threads because of them', () => {
    expect(flagsOf('24.18.1')).toEqual([
      '--scavenger-max-new-space-capacity-mb=1',
      '--external-memory-accounted-in-global-limit',
      '--no-parallel-scavenge',
      '--no-concurrent-array-buffer-sweeping',
    ])
    expect(flagsOf('26.5.1')).toEqual(['--external-memory-accounted-in-global-limit'])
  })
  it.each(['22.23.2', '28.0.0'])('is left alone by Node %s, whose flags are others', (node) => {
    expect(flagsOf(node)).toEqual([])
  })
})
