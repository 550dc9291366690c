import { describe, expect, it } from 'vitest'
import { CommandError } from '../../bin/failure.ts'
import { checkRuntime, inspectorWarning } from '../../bin/runtime.ts'

describe('the Node release (N09)', () => {
  it.each(['20.20.2', '22.22.9', '22.23.1', '23.11.0', '24.18.0', '25.9.0', '26.5.0'])('%s is refused', (node) => {
    expect(() => checkRuntime({ versions: { node } })).toThrow(CommandError)
  })
  it.each(['22.23.2', '22.24.0', '24.18.1', '24.21.0', '26.5.1', '28.0.0'])('%s is taken', (node) => {
    expect(() => checkRuntime({ versions: { node } })).not.toThrow()
  })
  it('is refused with what to use, as a problem of the installation', () => {
    const error = (() => {
      try {
        return checkRuntime({ versions: { node: '24.18.0' } })
      } catch (thrown) {
        return thrown
      }
    })()
    expect(error).toMatchObject({ exitCode: 78 })
    expect(String(error)).toContain('24.18.1')
  })
})

describe('an open debugger (N08)', () => {
  it.each([
    [['--inspect'], undefined],
    [['--inspect-brk=0.0.0.0:9229'], undefined],
    [[], '--max-old-space-size=512 --inspect=127.0.0.1:9230'],
  ])('%j, NODE_OPTIONS=%s is warned of', (execArgv, nodeOptions) => {
    expect(inspectorWarning({ execArgv, nodeOptions })).toContain('--inspect')
  })
  it('is not seen where there is none', () => {
    expect(inspectorWarning({ execArgv: ['--enable-source-maps'], nodeOptions: '--inspector-like' })).toBeUndefined()
  })
})
