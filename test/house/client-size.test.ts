import { expect, it } from 'vitest'
import { clientSize, clientSizeLimit } from './client-size.ts'

it(`the browser client is at most ${clientSizeLimit} bytes when minified and compressed`, async () => {
  expect(await clientSize()).toBeLessThanOrEqual(clientSizeLimit)
})
