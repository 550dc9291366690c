import { createServer, type Socket } from 'node:net'
import type { AddressInfo } from 'node:net'

/** One request as the API saw it on the wire. */
export interface SeenRequest {
  readonly requestLine: string
  readonly method: string
  readonly target: string
  /** Header lines in order, untouched. */
  readonly lines: readonly string[]
  /** All values of a field, by any spelling of its name. */
  readonly values: (name: string) => readonly string[]
  /** The bytes of the body without its framing, one character each. */
  readonly body: string
}

/** What the API does with a connection on which a request has arrived whole. */
export type Behaviour = (socket: Socket, seen: SeenRequest) => void

/** An API that records raw bytes and answers with bytes, so that tests can be as wrong as they like. */
export interface Upstream {
  readonly origin: string
  readonly port: number
  readonly seen: SeenRequest[]
  /** Connections open now. */
  readonly open: ReadonlySet<Socket>
  /** Connections ever accepted. */
  readonly accepted: number
  /** Replaces what happens on each request; the default answers 200 with what was seen as JSON. */
  behave(behaviour: Behaviour): void
  /** Told of every connection at once, before any byte: for servers that never answer. */
  onConnection(listener: (socket: Socket) => void): void
  /** Resolves when the condition holds after some event on any connection. */
  until(condition: () => boolean): Promise<void>
  /** As it was at the start, but for its connections. */
  reset(): void
  /** Throws when a request came that no API may ever see; see `checkSeen`. */
  close(): Promise<void>
}

/** Starts one; `faultsOf` is another where it stands for something else than an API, such as a part of ours. */
export async function startUpstream(faultsOf = checkSeen): Promise<Upstream> {
  const seen: SeenRequest[] = []
  const faults = new Set<string>()
  const open = new Set<Socket>()
  const waiting = new Set<() => void>()
  let accepted = 0
  let behaviour: Behaviour = echo
  let listener: (socket: Socket) => void = () => {}
  const wake = () => {
    for (const check of waiting) check()
  }
  const server = createServer({ noDelay: true }, (socket) => {
    accepted++
    open.add(socket)
    let text = ''
    socket.on('close', () => {
      open.delete(socket)
      wake()
    })
    socket.on('error', () => {})
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
      for (let parsed = takeRequest(text); parsed !== undefined; parsed = takeRequest(text)) {
        text = parsed.rest
        seen.push(parsed.request)
        for (const fault of faultsOf(parsed.request)) faults.add(`${parsed.request.requestLine}: ${fault}`)
        behaviour(socket, parsed.request)
      }
      wake()
    })
    listener(socket)
    wake()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    origin: `http://127.0.0.1:${port}`,
    port,
    seen,
    open,
    get accepted() {
      return accepted
    },
    behave: (next) => {
      behaviour = next
    },
    onConnection: (next) => {
      listener = next
    },
    until: (condition) =>
      new Promise((resolve) => {
        const check = () => {
          if (!condition()) return
          waiting.delete(check)
          resolve()
        }
        waiting.add(check)
        check()
      }),
    reset() {
      seen.length = 0
      behaviour = echo
      listener = () => {}
    },
    async close() {
      for (const socket of open) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
      if (faults.size > 0) throw new Error(`the API saw what it never may: ${[...faults].join(', ')}`)
    },
  }
}

/**
 * What no API may see whatever a test did: our cookies, headers that are meant for us, a second credential or a client's
 * word on what the connection does with the first.
 */
function checkSeen({ values }: SeenRequest): readonly string[] {
  const names = values('cookie').flatMap((value) => value.split(';').map((pair) => pair.trim().split('=')[0] ?? ''))
  return [
    ...names.filter((name) => name.startsWith('__Host-Http-th-')),
    ...['x-csrf-token', 'token-handler-version'].filter((name) => values(name).length > 0),
    ...(values('authorization').length > 1 ? ['two credentials'] : []),
    ...values('connection').filter((value) => !/^(?:close|keep-alive|upgrade)$/i.test(value)),
  ]
}

/** Answers with bytes and keeps the connection open. */
export const answer =
  (bytes: string): Behaviour =>
  (socket) =>
    void socket.write(Buffer.from(bytes, 'latin1'))

/** A whole answer out of a status, header lines and a body with its length. */
export function okBytes(body: string, lines: readonly string[] = [], status = '200 OK'): string {
  return [`HTTP/1.1 ${status}`, ...lines, `Content-Length: ${Buffer.byteLength(body, 'latin1')}`, '', body].join('\r\n')
}

const first = okBytes('{"first":true}')
const poison = okBytes('{"poison":true}', ['Content-Type: application/json'])

/** Answers `{"first":true}`, and then once more although nobody asked, so that the answer could be taken for the next one. */
export const answersTwice: readonly (readonly [string, Behaviour])[] = [
  ['in the same bytes', answer(first + poison)],
  ['a little later', (socket) => void socket.write(first, () => void socket.write(poison))],
]

/** The default behaviour: what was seen, as JSON. */
export const echo: Behaviour = (socket, { method, target, lines, body }) => {
  if (method === 'HEAD') {
    socket.write('HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n')
    return
  }
  socket.write(
    Buffer.from(okBytes(JSON.stringify({ method, target, lines, body }), ['Content-Type: application/json']), 'latin1'),
  )
}

function takeRequest(text: string): { request: SeenRequest; rest: string } | undefined {
  const end = text.indexOf('\r\n\r\n')
  if (end === -1) return undefined
  const [requestLine = '', ...lines] = text.slice(0, end).split('\r\n')
  const values = (name: string) =>
    lines
      .filter((line) => line.slice(0, line.indexOf(':')).toLowerCase() === name.toLowerCase())
      .map((line) => line.slice(line.indexOf(':') + 1).trim())
  const after = text.slice(end + 4)
  const framed = values('transfer-encoding').includes('chunked')
    ? takeChunked(after)
    : takeLength(after, Number(values('content-length')[0] ?? 0))
  if (framed === undefined) return undefined
  const [method = '', target = ''] = requestLine.split(' ')
  return { request: { requestLine, method, target, lines, values, body: framed.body }, rest: framed.rest }
}

function takeLength(text: string, length: number): { body: string; rest: string } | undefined {
  return text.length < length ? undefined : { body: text.slice(0, length), rest: text.slice(length) }
}

function takeChunked(text: string): { body: string; rest: string } | undefined {
  let body = ''
  let at = 0
  for (;;) {
    const lineEnd = text.indexOf('\r\n', at)
    if (lineEnd === -1) return undefined
    const size = Number.parseInt(text.slice(at, lineEnd), 16)
    if (size === 0) {
      const end = text.indexOf('\r\n', lineEnd + 2)
      return end === -1 ? undefined : { body, rest: text.slice(end + 2) }
    }
    if (text.length < lineEnd + 2 + size + 2) return undefined
    body += text.slice(lineEnd + 2, lineEnd + 2 + size)
    at = lineEnd + 2 + size + 2
  }
}
