import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { afterEach, describe, expect, it } from 'vitest'

const signals = new URL('../../bin/signals.ts', import.meta.url).href

let child: ChildProcess | undefined
afterEach(() => child?.kill('SIGKILL'))

/** A process that runs these lines, which have the functions of the module as `signals` and say `up` when they are through. */
async function start(lines: string, until: string | undefined = 'up') {
  const text = `import * as signals from '${signals}'\nsetInterval(() => {}, 60_000)\n${lines}\nconsole.log('up')`
  const started = spawn(process.execPath, ['--input-type=module', '--eval', text], { stdio: 'pipe' })
  child = started
  let [said, errors] = ['', '']
  started.stdout.on('data', (chunk: Buffer) => void (said += chunk.toString()))
  started.stderr.on('data', (chunk: Buffer) => void (errors += chunk.toString()))
  const ended = once(started, 'close')
  const has = (word: string) => expect.poll(() => said.split('\n')).toContain(word)
  if (until !== undefined) await has(until)
  return { ended, has, kill: (signal: NodeJS.Signals) => started.kill(signal), errors: () => errors }
}

describe('a stop', () => {
  const running = (stop: string) => `signals.followSignals()({
    stop: (signal) => { console.log(signal); return ${stop} },
    reload: () => console.log('reload'),
  })`

  it('before there is anything to stop ends the process at once, and a reload does nothing', async () => {
    const { ended, kill } = await start('signals.followSignals()')
    kill('SIGHUP')
    kill('SIGINT')
    expect(await ended).toEqual([0, null])
  })

  it.each([
    ['SIGTERM', 'Promise.resolve()', 0],
    ['SIGINT', 'Promise.resolve()', 0],
    ['SIGTERM', `Promise.reject(new Error('no'))`, 1],
  ] as const)('by %s that comes to its end (%s) is the end with %i', async (signal, stop, code) => {
    const { ended, has, kill } = await start(running(stop))
    kill('SIGHUP')
    await has('reload')
    kill(signal)
    expect(await ended).toEqual([code, null])
    await has(signal)
  })

  it('that takes long is ended by a second one, of either kind', async () => {
    const { ended, has, kill } = await start(running('new Promise(() => {})'))
    kill('SIGTERM')
    await has('SIGTERM')
    kill('SIGINT')
    expect(await ended).toEqual([1, null])
  })
})

it('N08 SIGUSR1 opens no debugger', async () => {
  const { ended, has, kill, errors } = await start(
    `signals.keepDebuggerShut()\nprocess.on('SIGUSR2', () => console.log('heard'))`,
  )
  kill('SIGUSR1')
  kill('SIGUSR2')
  await has('heard')
  kill('SIGTERM')
  await ended
  expect(errors()).toBe('')
})

describe('a failure that nobody caught ends the process, and tells nothing of what it carries', () => {
  it.each([
    ['thrown', 'setImmediate(() => fail())'],
    ['of a promise', 'Promise.resolve().then(() => fail())'],
  ])('%s', async (_, how) => {
    const failing = `class OAuthFailure extends Error { name = 'OAuthFailure' }
      function fail() { throw Object.assign(new OAuthFailure('s3cret\\ns3cret', { cause: 's3cret' }), { body: 's3cret' }) }`
    const { ended, errors } = await start(`signals.endOnUncaught()\n${failing}\n${how}`, undefined)
    expect(await ended).toEqual([1, null])
    expect(JSON.parse(errors())).toEqual({ level: 'fatal', uncaught: 'OAuthFailure', stack: expect.any(Array) })
    expect(errors()).toContain('at fail ')
    expect(errors()).not.toContain('s3cret')
  })

  it('that is no error', async () => {
    const { ended, errors } = await start(`signals.endOnUncaught()\nsetImmediate(() => { throw 's3cret' })`, undefined)
    expect(await ended).toEqual([1, null])
    expect(JSON.parse(errors())).toEqual({ level: 'fatal', uncaught: 'unknown', stack: [] })
  })
})
