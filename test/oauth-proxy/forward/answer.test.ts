import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { Pool } from 'undici'
import { answerHandler, type AnswerParts, type Ending } from '../../../oauth-proxy/forward/answer.ts'
import { TokenHandlerError } from '../../../shared/errors.ts'
import { createManualClock } from '../../support/manual-clock.ts'
import { okBytes, startUpstream, type Upstream } from '../../support/upstream.ts'

let api: Upstream
let pool: Pool
beforeEach(async () => {
  api = await startUpstream()
  pool = new Pool(api.origin)
})
afterEach(async () => {
  await pool.destroy()
  await api.close()
})

const chunked = 'Transfer-Encoding: chunked\r\n'
const gzipped = gzipSync('line').toString('latin1')
const zipped = `Content-Encoding: gzip\r\n\r\n${gzipped.length.toString(16)}\r\n${gzipped}\r\n0\r\n\r\n`

/** What was begun to be watched of an answer of these bytes, how it ended, and what its place was reported as. */
function watched(
  method: string,
  pieces: readonly string[],
): Promise<{ kinds: string[]; ending: Ending; answered: boolean[] }> {
  const kinds: string[] = []
  const answered: boolean[] = []
  const more = [...pieces]
  const write = (socket: Socket | undefined) => void socket?.write(more.shift() ?? '', 'latin1')
  let connection: Socket | undefined
  api.behave((socket) => write((connection = socket)))
  const request = new IncomingMessage(new Socket())
  request.method = method
  return new Promise((resolve) => {
    const handler = answerHandler(
      {
        response: new ServerResponse(request),
        idleTimeoutMs: 1000,
        onHead: (_, fields) => (fields['content-length'] === undefined ? {} : { 'content-length': '4' }),
        isCutting: () => false,
        onEndless(kind) {
          kinds.push(kind)
          write(connection)
          return () => void kinds.push('over')
        },
        clock: createManualClock(),
      },
      { origin: api.origin, index: 0, pool, tls: {}, report: (each) => void answered.push(each) },
      (ending) => resolve({ kinds, ending, answered }),
    )
    pool.dispatch({ method, path: '/' }, handler)
  })
}

it.each<[string, string, readonly string[]]>([
  ['has no body for HEAD', 'HEAD', [`HTTP/1.1 200 OK\r\n${chunked}\r\n`]],
  [
    'is a stream, but asked for by HEAD',
    'HEAD',
    [`HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n${chunked}\r\n`],
  ],
  ['is 204', 'DELETE', ['HTTP/1.1 204 No Content\r\n\r\n']],
  ['is 304', 'GET', ['HTTP/1.1 304 Not Modified\r\n\r\n']],
  ['comes after an interim one', 'GET', ['HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n']],
  ['is whole with its head', 'GET', [`HTTP/1.1 200 OK\r\n${chunked}\r\n4\r\nline\r\n0\r\n\r\n`]],
  ['has trailers', 'GET', [`HTTP/1.1 200 OK\r\n${chunked}\r\n4\r\nline\r\n0\r\nDigest: x\r\n\r\n`]],
  ['is compressed', 'GET', [`HTTP/1.1 200 OK\r\n${chunked}${zipped}`]],
  ['has a length', 'GET', ['HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nline']],
])('an answer that %s is not watched', async (_, method, pieces) => {
  expect(await watched(method, pieces)).toEqual({ kinds: [], ending: 'complete', answered: [true] })
})

it.each<[string, string, readonly string[]]>([
  ['goes on', 'answer', [`HTTP/1.1 200 OK\r\n${chunked}\r\n4\r\nline\r\n`, '0\r\n\r\n']],
  [
    'has not begun but for its head',
    'answer',
    [`HTTP/1.1 200 OK\r\n${chunked}\r\n`, '4\r\nline\r\n0\r\nDigest: x\r\n\r\n'],
  ],
  ['is a stream', 'stream', [`HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n${chunked}\r\n`, '0\r\n\r\n']],
])('an answer that %s is watched until it is over', async (_, kind, pieces) => {
  expect(await watched('GET', pieces)).toEqual({ kinds: [kind, 'over'], ending: 'complete', answered: [true] })
})

it.each<[string, Ending, (response: ServerResponse) => void]>([
  ['is refused', 'refused', () => {}],
  ['is read after all', 'complete', (response) => void response.emit('drain')],
  ['nobody reads any more', 'client_gone', (response) => void response.emit('close')],
])('an answer that %s leaves no timer and no listener behind', async (_, ending, onStall) => {
  const timers = new Set<() => void>()
  const response = new ServerResponse(new IncomingMessage(new Socket()))
  const refuse = () => {
    throw new TokenHandlerError('upstream_invalid_response')
  }
  // More than fits into the buffer of a browser that does not read, and less than is read of an answer that is refused.
  const sent = 'x'.repeat(ending === 'refused' ? 60_000 : 100_000)
  const length = sent.length + (ending === 'client_gone' ? 1 : 0)
  api.behave((socket) => socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${length}\r\n\r\n${sent}`))
  const ended = new Promise<Ending>((resolve) => {
    const handler = answerHandler(
      {
        response,
        idleTimeoutMs: 1000,
        onHead: ending === 'refused' ? refuse : () => ({ 'content-length': String(length) }),
        isCutting: () => false,
        onEndless: () => () => {},
        clock: {
          after() {
            const cancel = () => void timers.delete(cancel)
            timers.add(cancel)
            setImmediate(onStall, response)
            return cancel
          },
        },
      },
      { origin: api.origin, index: 0, pool, tls: {}, report: () => {} },
      resolve,
    )
    pool.dispatch({ method: 'GET', path: '/' }, handler)
  })
  expect(await ended).toBe(ending)
  expect([timers.size, response.listenerCount('close'), response.listenerCount('drain')]).toEqual([0, 0, 0])
})

/** How an answer of these bytes ended, and what the browser was refused it for. */
function ended(
  calls: Pool,
  bytes: string,
  change: Partial<AnswerParts> = {},
): Promise<{ ending: Ending; check: string | undefined }> {
  api.behave((socket) => void socket.write(bytes, 'latin1'))
  return new Promise((resolve) => {
    const handler = answerHandler(
      {
        response: new ServerResponse(new IncomingMessage(new Socket())),
        idleTimeoutMs: 1000,
        onHead: () => ({}),
        isCutting: () => false,
        onEndless: () => () => {},
        clock: createManualClock(),
        ...change,
      },
      { origin: api.origin, index: 0, pool: calls, tls: {}, report: () => {} },
      (ending, _status, error) => {
        const check = error instanceof TokenHandlerError ? error.detail.check : undefined
        resolve({ ending, check })
      },
    )
    calls.dispatch({ method: 'GET', path: '/' }, handler)
  })
}

it.each([
  ['099', 'refused'],
  ['200', 'complete'],
  ['599', 'complete'],
  ['600', 'refused'],
  ['999', 'refused'],
])('an answer with status %s is %s (RFC 9110 §15)', async (status, ending) => {
  const answer = await ended(pool, okBytes('', [], `${status} Any`))
  expect(answer).toEqual({ ending, check: ending === 'refused' ? 'status' : undefined })
})

it.each([
  [65_536, 'read to its end, so that its connection serves the next call', 1],
  [65_537, 'given up together with its connection', 2],
])('of an answer that is refused, %i bytes are %s', async (bytes, _what, connections) => {
  const calls = new Pool(api.origin, { connections: 1 })
  const onHead = () => {
    throw new TokenHandlerError('upstream_invalid_response')
  }
  expect((await ended(calls, okBytes('x'.repeat(bytes)), { onHead })).ending).toBe('refused')
  expect((await ended(calls, okBytes('next'))).ending).toBe('complete')
  expect(api.accepted).toBe(connections)
  await calls.destroy()
})

it.each([
  ['stream', 'text/event-stream'],
  ['answer', 'text/plain'],
])('a cut %s listens to its browser no more, whose connection may end with it', async (_kind, type) => {
  const response = new ServerResponse(new IncomingMessage(new Socket()))
  const listeners: number[] = []
  const count = () => void listeners.push(response.listenerCount('close'))
  const { ending } = await ended(pool, `HTTP/1.1 200 OK\r\nContent-Type: ${type}\r\n${chunked}\r\n`, {
    response,
    onEndless(_, cut) {
      count()
      cut()
      count()
      return () => {}
    },
  })
  expect({ ending, listeners }).toEqual({ ending: 'cut', listeners: [1, 0] })
})

it('a call whose browser has gone before there was a connection is not made', async () => {
  const response = new ServerResponse(new IncomingMessage(new Socket()))
  response.destroy()
  const ending = await new Promise<Ending>((resolve) => {
    const handler = answerHandler(
      {
        response,
        idleTimeoutMs: 1000,
        onHead: () => ({}),
        isCutting: () => false,
        onEndless: () => () => {},
        clock: createManualClock(),
      },
      { origin: api.origin, index: 0, pool, tls: {}, report: () => {} },
      resolve,
    )
    pool.dispatch({ method: 'DELETE', path: '/' }, handler)
  })
  expect(ending).toBe('client_gone')
  // Whatever was written has come when the connection has ended.
  await pool.close()
  expect(api.seen).toEqual([])
})
