import { afterEach, expect, it, vi } from 'vitest'
import { thisBrowser } from '../../spa-client/browser.ts'

afterEach(() => vi.unstubAllGlobals())

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
