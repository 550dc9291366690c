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
