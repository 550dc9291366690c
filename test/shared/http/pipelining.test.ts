import { describe, expect, it } from 'vitest'
import { oneServer } from '../../support/one-server.ts'

const { start, open, speakTls } = oneServer()

describe.each([
  ['plain HTTP', false],
  ['TLS', true],
])('over %s', (_, tls) => {
  speakTls(tls)

  describe('RFC 9112 §9.3.2 requests sent one behind the other on a connection', () => {
    const request = (method: string, target: string) =>
      `${method} ${target} HTTP/1.1\r\nHost: localhost\r\n${method === 'POST' ? 'Content-Length: 1\r\n\r\nx' : '\r\n'}`

    /** A server whose answers wait for the test; `begun` are the targets whose requests have begun, `over` those whose answers have ended. */
    async function startHeld() {
      const begun: string[] = []
      const over: string[] = []
      const answers = new Map<string, () => void>()
      const running = await start({
        handle({ url = '' }, response) {
          begun.push(url)
          response.once('close', () => over.push(url))
          answers.set(url, () => void response.end(`answer to ${url}`))
        },
      })
      const finish = (target: string) => answers.get(target)?.()
      return { running, begun, over, finish }
    }

    it.each([
      ['POST', 'DELETE'],
      ['POST', 'GET'],
      ['GET', 'PATCH'],
    ])('%s, then %s: the second begins when the first is answered', async (first, second) => {
      const { running, begun, finish } = await startHeld()
      const connection = await open(running)
      connection.write(request(first, '/1') + request(second, '/2') + request('GET', '/3'))
      // Another connection waits for nobody, and once it is answered, the first one has been read.
      const other = await open(running)
      other.write(request('GET', '/other'))
      await expect.poll(() => begun).toContain('/other')
      expect(begun.filter((target) => target !== '/other')).toEqual(['/1'])
      finish('/1')
      await expect.poll(() => begun).toContain('/2')
      if (second !== 'GET') expect(begun).not.toContain('/3')
      finish('/2')
      await expect.poll(() => begun).toContain('/3')
      finish('/3')
      const text = await connection.until((all) => all.includes('answer to /3'))
      expect(text.match(/answer to \/\d/g)).toEqual(['answer to /1', 'answer to /2', 'answer to /3'])
    })

    it('those that change nothing begin at once', async () => {
      const { running, begun, finish } = await startHeld()
      const connection = await open(running)
      connection.write(request('GET', '/1') + request('HEAD', '/2') + request('OPTIONS', '/3'))
      await expect.poll(() => begun).toEqual(['/1', '/2', '/3'])
      for (const target of ['/3', '/2', '/1']) finish(target)
      await connection.until((all) => all.includes('answer to /3'))
    })

    it('a third does not overtake the first with the second', async () => {
      const { running, begun, finish } = await startHeld()
      const connection = await open(running)
      connection.write(request('POST', '/1') + request('GET', '/2') + request('GET', '/3'))
      await expect.poll(() => begun).toEqual(['/1'])
      finish('/1')
      await expect.poll(() => begun).toContain('/2')
      finish('/2')
      await expect.poll(() => begun).toEqual(['/1', '/2', '/3'])
      finish('/3')
      await connection.until((all) => all.includes('answer to /3'))
    })

    it('what cannot be parsed behind an answer that has begun ends it, and puts no other into it', async () => {
      const begun: string[] = []
      const running = await start({
        handle({ url = '' }, response) {
          begun.push(url)
          if (url === '/1') response.writeHead(200, { 'content-length': '500' }).write('half')
        },
      })
      const connection = await open(running)
      connection.write(request('GET', '/1') + request('GET', '/2'))
      await connection.until((text) => text.endsWith('half'))
      await expect.poll(() => begun).toEqual(['/1', '/2'])
      connection.write('nonsense\r\n\r\n')
      expect(await connection.closed()).toMatch(/half$/)
    })

    it.each([
      ['GET', 'nonsense\r\n\r\n'],
      ['POST', 'nonsense\r\n\r\n'],
      ['POST', 'GET /2 HTTP/1.1\r\nHost : localhost\r\n\r\n'],
    ])(
      'what cannot be parsed behind a %s that has no answer yet ends the connection behind that answer, and has none itself (%j)',
      async (method, behind) => {
        const { running, begun, over, finish } = await startHeld()
        const connection = await open(running)
        connection.write(request(method, '/1'))
        await expect.poll(() => begun).toEqual(['/1'])
        connection.write(behind)
        // Another connection is read later.
        const other = await open(running)
        other.write(request('GET', '/other'))
        await expect.poll(() => begun).toContain('/other')
        finish('/1')
        expect(await connection.closed()).toMatch(/^HTTP\/1.1 200 [^]*\r\nconnection: close\r\n[^]*answer to \/1$/i)
        expect(over).toEqual(['/1'])
      },
    )

    it('what comes behind the last request of a connection does not take its answer away', async () => {
      const { running, begun, finish } = await startHeld()
      const connection = await open(running)
      connection.write(
        request('POST', '/1').replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n') + request('GET', '/2'),
      )
      await expect.poll(() => begun).toEqual(['/1'])
      finish('/1')
      expect(await connection.closed()).toMatch(/^HTTP\/1.1 200 [^]*answer to \/1$/)
      expect(begun).toEqual(['/1'])
    })

    it('what cannot be parsed in the body of a request is answered as that request', async () => {
      const { running, begun } = await startHeld()
      const connection = await open(running)
      connection.write('POST /1 HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n')
      await expect.poll(() => begun).toEqual(['/1'])
      connection.write('nonsense\r\n')
      expect(await connection.closed()).toMatch(/^HTTP\/1.1 400 /)
    })

    it('one whose answer breaks off before its turn ends the connection in its turn, and nothing behind it begins', async () => {
      const begun: string[] = []
      let finish = (): void => {}
      const running = await start({
        handle({ url = '' }, response) {
          begun.push(url)
          if (url === '/1') {
            finish = () => void response.end('answer to /1')
            return
          }
          response.writeHead(200, { 'content-length': '500' }).write('half')
          throw new Error('no other half')
        },
      })
      const connection = await open(running)
      connection.write(request('GET', '/1') + request('GET', '/2') + request('POST', '/3'))
      await expect.poll(() => begun).toContain('/2')
      finish()
      expect(await connection.closed()).toMatch(/answer to \/1$/)
      expect(begun).toEqual(['/1', '/2'])
    })

    it('a hundred may wait; a client that sends more without end loses its connection, not our memory', async () => {
      const { running, begun, over, finish } = await startHeld()
      const connection = await open(running)
      connection.write(request('POST', '/1') + request('DELETE', '/2').repeat(100))
      const other = await open(running)
      other.write(request('GET', '/other'))
      await expect.poll(() => begun).toEqual(['/1', '/other'])
      finish('/other')
      await expect.poll(() => over).toEqual(['/other'])
      connection.write(request('DELETE', '/3') + request('GET', '/4') + request('GET', '/5'))
      expect(await connection.closed()).toBe('')
      expect(begun).toEqual(['/1', '/other'])
      expect(over).toEqual(['/other', '/1'])
    })

    it('all that have begun end with their connection', async () => {
      const { running, begun, over } = await startHeld()
      const connection = await open(running)
      connection.write(request('GET', '/1') + request('GET', '/2') + request('GET', '/3'))
      await expect.poll(() => begun).toEqual(['/1', '/2', '/3'])
      connection.close()
      await expect.poll(() => over.toSorted()).toEqual(['/1', '/2', '/3'])
    })

    it('what waits when its connection ends never begins', async () => {
      const { running, begun, over, finish } = await startHeld()
      const connection = await open(running)
      connection.write(request('POST', '/1') + request('DELETE', '/2'))
      await expect.poll(() => begun).toEqual(['/1'])
      connection.close()
      await expect.poll(() => over).toEqual(['/1'])
      const other = await open(running)
      other.write(request('GET', '/other'))
      await expect.poll(() => begun).toContain('/other')
      expect(begun).toEqual(['/1', '/other'])
      finish('/other')
      await other.until((all) => all.includes('answer to /other'))
    })
  })
})
