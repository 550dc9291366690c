import { connect, type Socket } from 'node:net'
import { connect as connectTls, type ConnectionOptions } from 'node:tls'

/** An answer as it stood on the wire. */
export interface RawAnswer {
  readonly status: number
  /** Lines of the head without the status line. */
  readonly lines: readonly string[]
  readonly header: (name: string) => string | undefined
  readonly body: string
  /** The body read as a JSON object; throws if it is none. */
  readonly json: () => Readonly<Record<string, unknown>>
}

/** The error code of an answer of ours; undefined for any other answer. */
export function errorCode({ body }: RawAnswer): string | undefined {
  return /"error_code":"([a-z_]+)"/.exec(body)?.[1]
}

/** A connection on which tests write bytes that no HTTP client would send. */
export interface RawConnection {
  readonly socket: Socket
  write(bytes: string | Buffer): void
  /** Everything received so far, one character per byte. */
  received(): string
  /** Resolves when the received text satisfies the condition or the peer has closed. */
  until(condition: (text: string) => boolean): Promise<string>
  /** Resolves with everything received once the peer has closed. */
  closed(): Promise<string>
  close(): void
}

/** Connects to a port of this machine, over TLS where options for it are given, or to a Unix socket by its path. */
export async function openRaw(at: number | string, tls?: ConnectionOptions): Promise<RawConnection> {
  const place = typeof at === 'string' ? { path: at } : { host: '127.0.0.1', port: at }
  const raw = { ...place, allowHalfOpen: true }
  const socket = tls === undefined ? connect(raw) : connectTls({ ...raw, ...tls })
  let text = ''
  let ended = false
  const waiting = new Set<() => void>()
  const wake = () => {
    for (const check of waiting) check()
  }
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1')
    wake()
  })
  const onEnd = () => {
    ended = true
    wake()
  }
  socket.on('end', onEnd)
  socket.on('close', onEnd)
  socket.on('error', onEnd)
  const until = (condition: (text: string) => boolean) =>
    new Promise<string>((resolve) => {
      const check = () => {
        if (!ended && !condition(text)) return
        waiting.delete(check)
        resolve(text)
      }
      waiting.add(check)
      check()
    })
  await new Promise<void>((resolve, reject) => {
    socket.once(tls === undefined ? 'connect' : 'secureConnect', resolve)
    socket.once('error', reject)
  })
  return {
    socket,
    write: (bytes) => void socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes),
    received: () => text,
    until,
    closed: () => until(() => false),
    close: () => socket.destroy(),
  }
}

/** Resolves once the peer has let a connection go: a write into it is answered by a reset, and by silence where it lingers. */
export function letGo(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.closed) return resolve()
    socket.on('error', () => undefined)
    socket.on('close', () => resolve())
    const poke = () =>
      socket.write('x', (error) => {
        // A write into a socket that is closed fails at once: one after another, they took a core from all later tests.
        if (!(error instanceof Error)) setImmediate(poke)
      })
    poke()
  })
}

/** Sends one request as bytes and reads one answer; the connection is closed afterwards. */
export async function sendRaw(at: number | string, bytes: string): Promise<RawAnswer> {
  const connection = await openRaw(at)
  connection.write(bytes)
  const text = await connection.until(bytes.startsWith('HEAD ') ? hasHead : isComplete)
  connection.close()
  return parseAnswer(text)
}

const hasHead = (text: string): boolean => text.includes('\r\n\r\n')

/** True when the text holds a head and, by its own framing, the whole body. */
export function isComplete(text: string): boolean {
  const end = text.indexOf('\r\n\r\n')
  if (end === -1) return false
  const head = text.slice(0, end)
  if (/^HTTP\/1\.1 (?:1\d\d|204|304)/.test(head)) return true
  const length = /^content-length: *(\d+)/im.exec(head)?.[1]
  if (length !== undefined) return text.length - end - 4 >= Number(length)
  return /^transfer-encoding: *chunked/im.test(head) && text.endsWith('0\r\n\r\n')
}

export function parseAnswer(text: string): RawAnswer {
  const end = text.indexOf('\r\n\r\n')
  const body = end === -1 ? '' : text.slice(end + 4)
  const [statusLine = '', ...lines] = (end === -1 ? text : text.slice(0, end)).split('\r\n')
  return {
    status: Number(/^HTTP\/1\.[01] (\d{3})/.exec(statusLine)?.[1] ?? 0),
    lines,
    header: (name) =>
      lines
        .find((line) => line.toLowerCase().startsWith(`${name.toLowerCase()}:`))
        ?.slice(name.length + 1)
        .trim(),
    body,
    json: () => parseObject(body),
  }
}

function parseObject(text: string): Record<string, unknown> {
  const value: unknown = JSON.parse(text)
  if (typeof value !== 'object' || value === null) throw new TypeError('the body is no JSON object')
  return { ...value }
}

/** Bytes of a request: a target, header lines as they are, and a body with its length unless told otherwise. */
export function rawRequest(method: string, target: string, lines: readonly string[] = [], body?: string): string {
  const length = body === undefined ? [] : [`Content-Length: ${Buffer.byteLength(body, 'latin1')}`]
  return `${method} ${target} HTTP/1.1\r\n${[...lines, ...length].join('\r\n')}\r\n\r\n${body ?? ''}`
}
