import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { afterEach, expect, it, vi } from 'vitest'
import { thisBrowser } from '../../spa-client/browser.ts'

afterEach(() => vi.unstubAllGlobals())

it('a worker has no page: it is never hidden, and its addresses start from its script', () => {
  const location = { href: 'https://app.example/assets/worker.js' }
  vi.stubGlobal('self', { location })
  vi.stubGlobal('location', location)
  const worker = thisBrowser()
  expect([worker.isVisible(), worker.base()]).toEqual([true, location.href])
})

it.each([
  ['are missing', undefined],
  [
    'are forbidden, as in Firefox where a site may not store anything',
    class {
      constructor() {
        throw new DOMException('The operation is insecure.', 'SecurityError')
      }
    },
  ],
])('tabs do not know of each other where channels %s', (_name, channels) => {
  vi.stubGlobal('self', globalThis)
  vi.stubGlobal('BroadcastChannel', channels)
  expect(thisBrowser().channel('any')).toBeUndefined()
})

it('a process that made a client for its tests comes to its end once the client is closed', async () => {
  const client = new URL('../../spa-client/token-handler.ts', import.meta.url)
  const script = `
    Object.assign(globalThis, { self: globalThis, location: new URL('https://app.example/'), addEventListener() {} })
    const times = { refresh_in: 4000, expires_in: 8000, idle_expires_in: 6000 }
    globalThis.fetch = async () => Response.json({ is_logged_in: true, session: times })
    const { createTokenHandler } = await import('${client.href}')
    const tokenHandler = createTokenHandler()
    console.log((await tokenHandler.onPageLoad()).isLoggedIn)
    tokenHandler.close()`
  const node = promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script], { timeout: 20_000 })
  expect((await node).stdout).toBe('true\n')
})
