import { createServer, type AddressInfo, type Socket } from 'node:net'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { replaceable } from '../../bin/replaceable.ts'
import { createProxy, type Proxy } from '../../oauth-proxy/proxy.ts'
import { createRenewals } from '../../oauth-proxy/renewals.ts'
import type { Clock } from '../../shared/clock.ts'
import { requestIdOf } from '../../shared/http/request-id.ts'
import { serve } from '../../shared/http/serve.ts'
import { createMemoryStore } from '../../shared/store/memory.ts'
import { createManualClock } from '../support/manual-clock.ts'
import { hostLine, ownPage, proxyConfig, type ProxyWorld, publicOrigin, startProxy } from '../support/proxy-world.ts'
import { openRaw, type RawConnection } from '../support/raw-http.ts'
import { modelSearch } from '../support/model-search.ts'

/** Clients that send, pause and go as they like, before APIs that do the same; whoever waits gets the answer to its own request. */

const sessions = ['AAECAwQFBgcICQoLDA0ODw', 'BAECAwQFBgcICQoLDA0ODw', 'CAECAwQFBgcICQoLDA0ODw'] as const
const places = 6
const drainSeconds = 20

/** What the API does with a request. */
const ways = [
  'length',
  'length',
  'chunked',
  'empty',
  'no length',
  'half',
  'hang up',
  'reset',
  'silence',
  'stream',
] as const
const plan = fc.record({
  way: fc.constantFrom(...ways),
  /** Begins before the body of the request has come. */
  early: fc.boolean(),
  interim: fc.constantFrom('', '', '', 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'),
  waits: fc.nat(6),
  pieces: fc.array(fc.constantFrom(1, 40, 3000, 90_000), { minLength: 1, maxLength: 3 }),
  pause: fc.nat(3),
  after: fc.constantFrom('keeps', 'keeps', 'keeps', 'closes', 'resets', 'says that it closes'),
})
const request = fc.record({
  method: fc.constantFrom('GET', 'GET', 'HEAD', 'POST', 'POST', 'DELETE'),
  body: fc.constantFrom('length', 'chunked', 'none'),
  pieces: fc.array(fc.constantFrom(1, 30, 5000, 80_000), { minLength: 1, maxLength: 3 }),
  pause: fc.nat(3),
  session: fc.nat(sessions.length - 1),
  more: fc.constantFrom('', '', '', 'Expect: 100-continue\r\n', 'Connection: close\r\n'),
  plan,
})
const client = fc.record({
  starts: fc.nat(8),
  requests: fc.array(request, { minLength: 1, maxLength: 4 }),
  /** Sends the next without waiting for an answer. */
  pipelines: fc.boolean(),
  end: fc.constantFrom('waits', 'waits', 'waits', 'closes', 'resets', 'ends its side', 'talks nonsense'),
  /** When it does that, in turns. */
  endsAfter: fc.nat(30),
  stopsReading: fc.constantFrom(0, 0, 0, 10),
})
const event = fc.record({
  after: fc.nat(30),
  kind: fc.constantFrom('sign-out', 'reload', 'reload without the route', 'time passes', 'stop'),
  session: fc.nat(sessions.length - 1),
})

type Plan = typeof plan extends fc.Arbitrary<infer T> ? T : never
type Request = typeof request extends fc.Arbitrary<infer T> ? T : never
type Client = typeof client extends fc.Arbitrary<infer T> ? T : never
type Event = typeof event extends fc.Arbitrary<infer T> ? T : never

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise(setImmediate)
}

/** Bytes that nobody else sends. */
function marked(mark: string, length: number): string {
  return `<${mark}>`.repeat(Math.ceil(length / (mark.length + 2))).slice(0, length)
}

function wholeBody(mark: string, pieces: readonly number[]): string {
  return pieces.map((length) => marked(mark, length)).join('')
}

/** What the API saw of a request. */
interface Seen {
  readonly mark: string
  readonly authorization: string
  body: string
  whole: boolean
}

/** An API that does with each request what its plan says. */
async function startApi() {
  const plans = new Map<string, Plan>()
  const seen: Seen[] = []
  const open = new Map<Socket, Seen | undefined>()
  const streams = new Set<Socket>()
  let onSilence = () => {}
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
    let text = ''
    let current: (Seen & { readonly chunked: boolean; left: number }) | undefined
    open.set(socket, undefined)
    socket.on('error', () => {})
    socket.on('end', () => socket.end())
    socket.on('close', () => {
      open.delete(socket)
      streams.delete(socket)
    })
    const done = (each: Seen) => {
      each.whole = true
      current = undefined
    }
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
      for (;;) {
        if (current === undefined) {
          const end = text.indexOf('\r\n\r\n')
          if (end === -1) return
          const head = text.slice(0, end)
          text = text.slice(end + 4)
          const mark = /^x-mark: (.*)$/im.exec(head)?.[1] ?? 'none'
          const authorization = /^authorization: (.*)$/im.exec(head)?.[1] ?? ''
          const left = Number(/^content-length: (\d+)$/im.exec(head)?.[1] ?? 0)
          const chunked = /^transfer-encoding: chunked$/im.test(head)
          const each = { mark, authorization, body: '', whole: false, chunked, left }
          seen.push(each)
          open.set(socket, each)
          current = each
          if (!chunked && left === 0) done(each)
          void act(socket, head.slice(0, head.indexOf(' ')), each)
          continue
        }
        if (current.chunked) {
          const line = text.indexOf('\r\n')
          if (line === -1) return
          const size = Number.parseInt(text.slice(0, line), 16)
          if (text.length < line + 4 + size) return
          current.body += text.slice(line + 2, line + 2 + size)
          text = text.slice(line + 4 + size)
          if (size === 0) done(current)
          continue
        }
        const taken = text.slice(0, current.left)
        current.body += taken
        current.left -= taken.length
        text = text.slice(taken.length)
        if (current.left > 0) return
        done(current)
      }
    })
  })

  async function act(socket: Socket, method: string, each: Seen): Promise<void> {
    const { mark } = each
    const { way, early, interim, waits, pieces, pause, after } = plans.get(mark) ?? probe
    while (!early && !each.whole && open.has(socket)) await turns(1)
    await turns(waits)
    if (!socket.writable) return
    const write = (bytes: string) => void (socket.writable && socket.write(bytes, 'latin1'))
    if (interim !== '') write(interim)
    if (interim !== '') await turns(1)
    if (way === 'hang up') return void socket.end()
    if (way === 'reset') return void socket.resetAndDestroy()
    if (way === 'silence') return onSilence()
    const body = wholeBody(mark, pieces)
    const says = after === 'says that it closes' && way !== 'stream' ? 'Connection: close\r\n' : ''
    const head = (status: string, framing: string) =>
      `HTTP/1.1 ${status}\r\nX-Mark: ${mark}\r\n${says}${framing}\r\n\r\n`
    if (way === 'empty') {
      write(head('204 No Content', 'X-Empty: 1'))
    } else if (way === 'length' || way === 'half') {
      write(head('200 OK', `Content-Length: ${body.length + (way === 'half' ? 5 : 0)}`))
    } else if (way === 'no length') {
      write(head('200 OK', 'Connection: close'))
    } else {
      write(
        head('200 OK', `${way === 'stream' ? 'Content-Type: text/event-stream\r\n' : ''}Transfer-Encoding: chunked`),
      )
    }
    const hasBody = method !== 'HEAD' && way !== 'empty'
    if (hasBody) {
      for (const length of pieces) {
        await turns(pause)
        const piece = marked(mark, length)
        write(way === 'chunked' || way === 'stream' ? `${length.toString(16)}\r\n${piece}\r\n` : piece)
      }
      if (way === 'stream') return void streams.add(socket)
      if (way === 'chunked') write('0\r\n\r\n')
    }
    if (open.get(socket) === each) open.set(socket, undefined)
    if (way === 'no length' || says !== '') return void socket.end()
    await turns(pause)
    if (after === 'closes' || (way === 'half' && hasBody)) socket.end()
    if (after === 'resets') socket.resetAndDestroy()
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    plans,
    seen,
    open,
    streams,
    onSilence: (told: () => void) => void (onSilence = told),
    async close() {
      for (const socket of open.keys()) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

const probe: Plan = {
  way: 'silence',
  early: true,
  interim: '',
  waits: 0,
  pieces: [1],
  pause: 0,
  after: 'keeps',
}

/** One answer in what a client received. */
interface Answer {
  readonly status: number
  readonly head: string
  readonly body: string
  readonly complete: boolean
}

/** Reads answers to requests of these methods, strictly; what is left over is an answer to nobody. */
function readAnswers(text: string, methods: readonly string[]): { answers: Answer[]; rest: string } {
  const answers: Answer[] = []
  let rest = text
  while (rest !== '' && answers.length < methods.length) {
    const end = rest.indexOf('\r\n\r\n')
    if (end === -1) break
    const head = rest.slice(0, end)
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(head)?.[1])
    expect(status, head.slice(0, 200)).toBeGreaterThanOrEqual(100)
    rest = rest.slice(end + 4)
    if (status === 100) continue
    const method = methods[answers.length]
    const length = /^content-length: (\d+)$/im.exec(head)?.[1]
    const chunked = /^transfer-encoding: chunked$/im.test(head)
    const add = (body: string, complete: boolean) => void answers.push({ status, head, body, complete })
    if (method === 'HEAD' || status === 204) {
      add('', true)
    } else if (length !== undefined) {
      const body = rest.slice(0, Number(length))
      rest = rest.slice(body.length)
      add(body, body.length === Number(length))
    } else {
      expect(chunked, head).toBe(true)
      let body = ''
      for (;;) {
        const chunk = /^([0-9a-f]+)\r\n/i.exec(rest)
        const size = Number.parseInt(chunk?.[1] ?? '', 16)
        const from = chunk?.[0].length ?? 0
        if (chunk === null || rest.length < from + size + 2) {
          if (chunk !== null) body += rest.slice(from, from + size)
          rest = ''
          add(body, false)
          break
        }
        expect(rest.slice(from + size, from + size + 2)).toBe('\r\n')
        body += rest.slice(from, from + size)
        rest = rest.slice(from + size + 2)
        if (size > 0) continue
        add(body, true)
        break
      }
    }
  }
  return { answers, rest }
}

let api: Awaited<ReturnType<typeof startApi>>
let shared: ProxyWorld
const warnings: string[] = []
const onWarning = ({ name, message }: Error) => void (name === 'MaxListenersExceededWarning' && warnings.push(message))
beforeAll(async () => {
  process.on('warning', onWarning)
  api = await startApi()
  shared = await startProxy(`    - { path: /**, upstream: '${api.origin}' }`)
})
afterAll(async () => {
  process.off('warning', onWarning)
  await shared.close()
  await api.close()
})

/** A clock whose timers are counted. */
function countingClock() {
  const manual = createManualClock()
  const timers = new Set<object>()
  const clock: Clock = {
    ...manual,
    after(delayMs, run) {
      const timer = {}
      timers.add(timer)
      const cancel = manual.after(delayMs, () => {
        timers.delete(timer)
        run()
      })
      return () => {
        timers.delete(timer)
        cancel()
      }
    },
  }
  return { clock, timers, pass: manual.pass }
}

const routeOf = (path: string) =>
  `    - { path: '${path}', methods: [GET, HEAD, POST, DELETE], upstream: '${api.origin}', max_concurrent_requests: ${places} }`

/** A server before a proxy that can be replaced. */
async function startServer() {
  const { clock, timers, pass } = countingClock()
  const store = createMemoryStore({ clock: createManualClock() })
  const events: { name: string; fields: Readonly<Record<string, unknown>> }[] = []
  const observe = { emit: (name: string, fields: object) => void events.push({ name, fields: { ...fields } }) }
  const renewals = createRenewals()
  const all: Proxy[] = []
  const make = async (path: string) => {
    const proxy = await createProxy({
      config: proxyConfig(routeOf(path)),
      keys: shared.keys,
      loadAuthorizationServer: () => Promise.reject(new Error('nobody asks for tokens')),
      store,
      clock,
      observe,
      renewals,
    })
    all.push(proxy)
    return proxy
  }
  const proxies = replaceable(await make('/api/**'), { clock, drainMs: drainSeconds * 1000 })
  const asked: string[] = []
  const server = await serve({
    listen: { host: '127.0.0.1', port: 0 },
    clock,
    observe,
    handler: {
      handle(incoming, response) {
        asked.push(requestIdOf(incoming))
        return proxies.current().handle(incoming, response)
      },
      upgrade: (incoming, socket, head) => proxies.current().upgrade(incoming, socket, head),
      endStreams: () => proxies.endStreams(),
      beforeCut: () => proxies.beforeCut(),
    },
  })
  return { server, proxies, make, asked, events, store, timers, pass }
}

type Server = Awaited<ReturnType<typeof startServer>>

let marks = 0
const cookieOf = new Map<number, string>()
function headOf(method: string, mark: string, session: number, more: string): string {
  const cookie =
    cookieOf.get(session) ?? shared.cookies({ sessionId: sessions[session] ?? '', accessToken: `token-${session}` })
  cookieOf.set(session, cookie)
  const lines = [hostLine, ...ownPage, `Origin: ${publicOrigin}`, `Cookie: ${cookie}`, `X-Mark: ${mark}`]
  return `${method} /api/${mark} HTTP/1.1\r\n${lines.join('\r\n')}\r\n${more}`
}

/** One client with the marks of the requests that it began to send. */
interface Talk {
  readonly client: Client
  readonly sent: { readonly mark: string; readonly request: Request; whole: boolean }[]
  readonly connection: RawConnection
  gone: boolean
  done: boolean
}

async function talk(one: Client, port: number, talks: Talk[]): Promise<void> {
  await turns(one.starts)
  const connection = await openRaw(port).catch(() => undefined)
  if (connection === undefined) return
  const { socket } = connection
  const self: Talk = { client: one, sent: [], connection, gone: false, done: false }
  talks.push(self)
  const isOver = () => self.gone || socket.destroyed || socket.readableEnded
  const sending = async () => {
    for (const each of one.requests) {
      if (isOver()) return
      const mark = `m${marks++}`
      api.plans.set(mark, each.plan)
      const sent = { mark, request: each, whole: false }
      self.sent.push(sent)
      const body = each.method === 'GET' || each.method === 'HEAD' ? 'none' : each.body
      const text = wholeBody(mark, each.pieces)
      const framing =
        body === 'none'
          ? ''
          : body === 'length'
            ? `Content-Length: ${text.length}\r\n`
            : 'Transfer-Encoding: chunked\r\n'
      const more = body === 'none' ? each.more.replace(/^Expect.*\r\n/, '') : each.more
      socket.write(headOf(each.method, mark, each.session, `${more}${framing}\r\n`), 'latin1')
      if (body !== 'none') {
        for (const length of each.pieces) {
          await turns(each.pause)
          if (isOver()) return
          const piece = marked(mark, length)
          socket.write(body === 'length' ? piece : `${length.toString(16)}\r\n${piece}\r\n`, 'latin1')
        }
        if (body === 'chunked') socket.write('0\r\n\r\n', 'latin1')
      }
      sent.whole = true
      // Who says so has no more to say (RFC 9112 §9.6).
      if (more.startsWith('Connection')) return
      if (one.pipelines) continue
      const methods = self.sent.map(({ request: { method } }) => method)
      await connection.until((all) => {
        const { answers } = readAnswers(all, methods)
        return self.gone || (answers.length === methods.length && answers.at(-1)?.complete === true)
      })
    }
  }
  const ending = async () => {
    if (one.stopsReading > 0) {
      socket.pause()
      await turns(one.stopsReading)
      socket.resume()
    }
    if (one.end === 'waits') return
    await turns(one.endsAfter)
    self.gone = true
    if (one.end === 'closes') socket.destroy()
    else if (one.end === 'resets') socket.resetAndDestroy()
    else if (one.end === 'ends its side') socket.end()
    else if (socket.writable) socket.write('nonsense\r\n\r\n')
    socket.emit('end')
  }
  await Promise.all([sending(), ending()])
  self.done = true
}

async function happen(
  { after, kind, session }: Event,
  { proxies, make, store, pass, server }: Server,
  stops: Promise<void>[],
): Promise<void> {
  await turns(after)
  if (kind === 'sign-out') await store.end({ kind: 'session', sessionId: sessions[session] ?? '', ttlSeconds: 10_000 })
  else if (kind === 'reload') proxies.replace(await make('/api/**'))
  else if (kind === 'reload without the route') proxies.replace(await make('/other/**'))
  else if (kind === 'time passes') pass(5)
  else stops.push(server.stop(drainSeconds * 1000))
}

const happens = (events: readonly Event[], ...kinds: readonly Event['kind'][]): boolean =>
  events.some(({ kind }) => kinds.includes(kind))

/** Whether an answer of ours may have this code. */
function mayBe(code: string, talks: readonly Talk[], events: readonly Event[]): boolean {
  const requests = talks.flatMap(({ client: { requests: each } }) => each)
  if (code === 'overloaded' || code === 'too_many_concurrent_requests') return requests.length > places / 2
  if (code === 'session_expired') return happens(events, 'sign-out')
  if (code === 'route_not_found') return happens(events, 'reload without the route')
  if (code === 'server_stopping') return happens(events, 'stop', 'reload', 'reload without the route')
  if (code === 'upstream_reset' || code === 'upstream_invalid_response') {
    return requests.some(
      ({ plan: { way, after } }) =>
        ['hang up', 'reset', 'silence', 'stream', 'half'].includes(way) || after !== 'keeps',
    )
  }
  return false
}

function check({ client: { end }, sent, connection }: Talk, talks: readonly Talk[], events: readonly Event[]): void {
  const waits = end === 'waits'
  const { answers, rest } = readAnswers(
    connection.received(),
    sent.map(({ request: { method } }) => method),
  )
  if (waits) expect(rest, 'bytes that nobody asked for').toBe('')
  answers.forEach(({ status, head, body, complete }, index) => {
    const each = sent[index]
    if (each === undefined) throw new Error('an answer to nobody')
    const {
      mark,
      request: {
        method,
        plan: { way, pieces },
      },
    } = each
    const of = /^x-mark: (.*)$/im.exec(head)?.[1]
    if (of === undefined) {
      const code = /"error_code":"([a-z_]+)"/.exec(body)?.[1] ?? /^token-handler-error: (.*)$/im.exec(head)?.[1] ?? ''
      if (waits) expect([status, code, mayBe(code, talks, events)], head).toEqual([status, code, true])
      return
    }
    expect(of).toBe(mark)
    expect(status).toBe(way === 'empty' ? 204 : 200)
    if (method === 'HEAD' || way === 'empty') return
    const whole = wholeBody(mark, pieces)
    expect(whole.startsWith(body), 'bytes of another').toBe(true)
    if (complete && way !== 'stream') expect([way, body.length]).toEqual([way, whole.length])
    if (complete) expect(way).not.toBe('half')
    if (!complete && waits) {
      const maybe = way === 'half' || way === 'stream' || happens(events, 'stop', 'sign-out')
      expect([way, maybe || each.request.plan.after === 'resets']).toEqual([way, true])
    }
  })
  if (!waits) return
  const last = answers.at(-1)
  if (answers.length === sent.length) return
  // What breaks off before its turn ends the connection in its place, and takes with it all that is behind it.
  const breaksOff = sent.slice(answers.length).some(
    ({
      request: {
        plan: { way, after },
      },
    }) => way === 'half' || way === 'stream' || after === 'resets',
  )
  const mayEnd =
    breaksOff ||
    // A client whose body we did not wait for has two seconds to read why (shared/http/end-socket.ts); here they pass at once.
    happens(events, 'stop', 'sign-out', 'time passes') ||
    (last !== undefined && (/^connection: close$/im.test(last.head) || !last.complete))
  expect([answers.length, sent.length, mayEnd, last?.head]).toEqual([answers.length, sent.length, true, last?.head])
}

async function until(what: string, condition: () => boolean): Promise<void> {
  const startedMs = performance.now()
  while (!condition()) {
    if (performance.now() - startedMs > 15_000) throw new Error(`never came about: ${what}`)
    await turns(1)
  }
}

async function run(clients: readonly Client[], events: readonly Event[]): Promise<void> {
  api.plans.clear()
  api.seen.length = 0
  const started = await startServer()
  const { server, proxies, asked, events: told, timers, pass } = started
  const talks: Talk[] = []
  const stops: Promise<void>[] = []
  let silences = 0
  api.onSilence(() => silences++)
  const talking = Promise.all(clients.map((one) => talk(one, server.port, talks)))
  await Promise.all(events.map((each) => happen(each, started, stops)))
  const isQuiet = () => [...api.open.values()].every((each) => each === undefined)
  let over = false
  void talking.then(() => (over = true))
  const isAnswered = (each: Talk) => {
    const { answers } = readAnswers(
      each.connection.received(),
      each.sent.map(({ request: { method } }) => method),
    )
    return (
      each.gone ||
      each.connection.socket.destroyed ||
      each.connection.socket.readableEnded ||
      (answers.length === each.sent.length && answers.at(-1)?.complete === true)
    )
  }
  let waited = 0
  await until('all answered', () => {
    // The API gives up what it would never have answered or ended, but not before the clients had time for theirs.
    if (waited++ > 40) giveUp()
    return over && talks.every(isAnswered)
  })
  function giveUp(): void {
    for (const [socket, each] of api.open) {
      const way = each === undefined ? undefined : api.plans.get(each.mark)?.way
      if (way === 'silence' || api.streams.has(socket)) socket.destroy()
    }
  }
  for (const {
    connection,
    client: { end },
  } of talks)
    if (end !== 'waits') connection.close()
  // A body that waits for its turn keeps the proxy from reading on to where it says that its client has gone.
  const hidesItsEnd = clients.some(({ pipelines, requests }) => pipelines && requests.length > 1)
  await until('the API is quiet', () => {
    if (hidesItsEnd) giveUp()
    return isQuiet()
  })
  for (const each of talks) check(each, talks, events)

  const isStopped = stops.length > 0
  for (const { connection } of talks) connection.close()
  const isTold = (id: string) =>
    told.some(({ name, fields }) => name === 'request.answered' && fields['request_id'] === id)
  await until('all told', () => {
    // A call that was given up may have been tried once more meanwhile.
    if (hidesItsEnd) giveUp()
    return asked.every(isTold)
  })
  for (const name of ['request.answered', 'upstream.called']) {
    const ids = told
      .filter((each) => each.name === name && each.fields['side'] !== 'none')
      .map(({ fields }) => fields['request_id'])
    expect(new Set(ids).size, name).toBe(ids.length)
    expect(ids.every((id) => asked.includes(String(id)))).toBe(true)
  }
  expect(told.filter(({ name }) => name === 'internal.failed')).toEqual([])

  const requestOf = new Map(
    talks.flatMap(({ sent, client: { end } }) => sent.map((each) => [each.mark, { ...each, end }] as const)),
  )
  for (const { mark, authorization, body, whole } of api.seen) {
    const each = requestOf.get(mark)
    if (each === undefined) continue
    const { method, session, pieces, body: kind } = each.request
    expect(authorization).toBe(`Bearer token-${session}`)
    const sentBody = method === 'GET' || method === 'HEAD' || kind === 'none' ? '' : wholeBody(mark, pieces)
    // Nonsense may stand in the place of a body.
    if (each.end !== 'talks nonsense') expect(sentBody.startsWith(body)).toBe(true)
    if (whole) expect(body.length).toBe(sentBody.length)
    const times = api.seen.filter((other) => other.mark === mark).length
    expect([method, times <= (method === 'GET' || method === 'HEAD' ? 2 : 1)]).toEqual([method, true])
  }

  // All places are free again: as many calls as there are reach the API at once.
  if (!isStopped && !happens(events, 'sign-out', 'reload without the route')) {
    const before = silences
    const connections = await Promise.all(
      Array.from({ length: places }, async (_, index) => {
        const connection = await openRaw(server.port)
        connection.write(`${headOf('GET', `probe${index}`, index % sessions.length, '')}\r\n`)
        return connection
      }),
    )
    await until(
      'all places free',
      () => silences === before + places || connections.some((each) => each.received() !== ''),
    )
    expect(connections.map((each) => each.received())).toEqual(connections.map(() => ''))
    for (const each of connections) each.close()
    await until('probes gone', () => [...api.open.values()].every((each) => each === undefined))
  }

  const stopping = isStopped ? Promise.all(stops) : server.stop(1000)
  await until('connections closed', () => {
    pass(1)
    return talks.every(({ connection }) => connection.socket.destroyed)
  })
  pass(drainSeconds + 5)
  await stopping
  await proxies.close()
  await until('timers', () => {
    if (timers.size > 0) pass(5)
    return timers.size === 0
  })
  expect(warnings).toEqual([])
}

it('whoever waits for a call gets the one answer to it, whatever clients, APIs and operators do', {
  timeout: 60_000,
}, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(client, { minLength: 1, maxLength: 5 }), fc.array(event, { maxLength: 2 }), run),
    modelSearch(55),
  )
})
