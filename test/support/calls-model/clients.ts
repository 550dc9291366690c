import { hostLine, ownPage, publicOrigin } from '../proxy-world.ts'
import { openRaw, type RawConnection } from '../raw-http.ts'
import { turns } from '../turns.ts'
import { type Answer, readAnswers } from './answers.ts'
import type { Api } from './api.ts'
import { type Client, hasBody, marked, type Request, requestBody } from './arbitraries.ts'

/** A request that a client began to send. */
export interface Sent {
  readonly mark: string
  readonly request: Request
}

/** One client with the requests that it began to send. */
export interface Talk {
  readonly client: Client
  readonly sent: Sent[]
  readonly connection: RawConnection
  /** It has stopped waiting for answers. */
  gone: boolean
}

/** Where clients send to, and as whom. */
export interface TalkParts {
  readonly api: Pick<Api, 'markFor'>
  readonly port: number
  /** A Cookie header for each session. */
  readonly cookies: readonly string[]
}

/** Has a client send its requests; it is put among `talks` once it is connected. */
export async function talk(client: Client, parts: TalkParts, talks: Talk[]): Promise<void> {
  await turns(client.starts)
  const connection = await openRaw(parts.port).catch(() => undefined)
  if (connection === undefined) return
  const self: Talk = { client, sent: [], connection, gone: false }
  talks.push(self)
  await Promise.all([sendAll(self, parts), goAway(self)])
}

async function sendAll(self: Talk, { api, cookies }: TalkParts): Promise<void> {
  const { client, sent, connection } = self
  const { socket } = connection
  for (const request of client.requests) {
    if (isOver(self)) return
    const mark = api.markFor(request.plan)
    sent.push({ mark, request })
    const sendsBody = hasBody(request)
    const more = sendsBody ? request.more : request.more.replace(/^Expect.*\r\n/, '')
    socket.write(
      requestHead(request.method, mark, cookies[request.session], `${more}${framing(mark, request)}`),
      'latin1',
    )
    if (sendsBody && !(await sendBody(self, mark, request))) return
    // Who says so has no more to say (RFC 9112 §9.6).
    if (more.startsWith('Connection')) return
    if (!client.pipelines) await connection.until(() => self.gone || hasAllAnswers(self))
  }
}

/** Resolves with false if the connection is over before all was sent. */
async function sendBody(self: Talk, mark: string, { body, pieces, pause }: Request): Promise<boolean> {
  const { socket } = self.connection
  for (const length of pieces) {
    await turns(pause)
    if (isOver(self)) return false
    const piece = marked(mark, length)
    socket.write(body === 'length' ? piece : `${length.toString(16)}\r\n${piece}\r\n`, 'latin1')
  }
  if (body === 'chunked') socket.write('0\r\n\r\n', 'latin1')
  return true
}

function framing(mark: string, request: Request): string {
  if (!hasBody(request)) return ''
  if (request.body === 'chunked') return 'Transfer-Encoding: chunked\r\n'
  return `Content-Length: ${requestBody(mark, request).length}\r\n`
}

async function goAway(self: Talk): Promise<void> {
  const { client } = self
  const { socket } = self.connection
  if (client.stopsReading > 0) {
    socket.pause()
    await turns(client.stopsReading)
    socket.resume()
  }
  if (client.end === 'waits') return
  await turns(client.endsAfter)
  self.gone = true
  if (client.end === 'closes') socket.destroy()
  else if (client.end === 'resets') socket.resetAndDestroy()
  else if (client.end === 'ends its side') socket.end()
  else if (socket.writable) socket.write('nonsense\r\n\r\n')
  socket.emit('end')
}

/** The head of a request for the API; `lines` are whole header lines. */
export function requestHead(method: string, mark: string, cookies = '', lines = ''): string {
  const usual = [hostLine, ...ownPage, `Origin: ${publicOrigin}`, `Cookie: ${cookies}`, `X-Mark: ${mark}`]
  return `${method} /api/${mark} HTTP/1.1\r\n${usual.join('\r\n')}\r\n${lines}\r\n`
}

/** Nothing more can come for this client, or nobody waits for it. */
export function isOver({ gone, connection: { socket } }: Talk): boolean {
  return gone || socket.destroyed || socket.readableEnded
}

/** What came on the connection of a client. */
export function answersOf({ connection, sent }: Talk): { answers: Answer[]; rest: string } {
  return readAnswers(
    connection.received(),
    sent.map(({ request: { method } }) => method),
  )
}

/** True when every request has its whole answer. */
export function hasAllAnswers(self: Talk): boolean {
  const { answers } = answersOf(self)
  return answers.length === self.sent.length && answers.at(-1)?.complete === true
}
