import { PassThrough } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { copyBody } from '../../../oauth-proxy/forward/request-body.ts'

/** A body that comes as the test says. */
function start(maxBytes = 1_000_000) {
  const request = new PassThrough()
  return { request, copy: copyBody(request, maxBytes) }
}

const text = async (copy: ReturnType<typeof copyBody>) => (await copy.whole())?.toString()

describe('the copy of a body', () => {
  it.each<[string, string[]]>([
    ['one piece', ['an order']],
    ['many', ['a', 'n', ' ', 'ord', 'er']],
    ['none', []],
    ['as much as is kept', ['x'.repeat(65_535), 'y']],
  ])('is the whole of it: %s', async (_what, chunks) => {
    const { request, copy } = start()
    for (const chunk of chunks) request.write(chunk)
    request.end()
    expect(await text(copy)).toBe(chunks.join(''))
  })

  it('waits for what comes after it was asked for', async () => {
    const { request, copy } = start()
    const asked = text(copy)
    request.write('an o')
    request.end('rder')
    expect(await asked).toBe('an order')
  })

  it.each<[string, number | undefined, (request: PassThrough) => void]>([
    ['longer than is kept', undefined, (request) => void request.end('x'.repeat(65_536))],
    ['longer than the route takes', 8, (request) => void request.end('an order')],
    ['that breaks off', undefined, (request) => void request.destroy()],
  ])('is nothing of a body %s', async (_what, maxBytes, send) => {
    const { request, copy } = start(maxBytes)
    request.write('a')
    send(request)
    expect(await text(copy)).toBeUndefined()
  })

  it('lets go of it when told so', async () => {
    const { request, copy } = start()
    request.end('an order')
    await text(copy)
    copy.drop()
    expect(await text(copy)).toBeUndefined()
  })

  it('has bytes of its own, and keeps none of the chunks: 65,536 of one byte would take many megabytes', async () => {
    const { request, copy } = start()
    const chunk = Buffer.from('a')
    request.write(chunk)
    await new Promise(setImmediate)
    chunk.fill('b')
    request.end()
    expect(await text(copy)).toBe('a')
  })
})
