import { createServer, type AddressInfo, type Socket } from 'node:net'
import { turns } from '../turns.ts'
import { marked, type Plan, wholeBody } from './arbitraries.ts'
import { type Arriving, readRequests, type Seen } from './requests.ts'

/** An API that does with each request what its plan says. */
export interface Api {
  readonly origin: string
  /** Everything that came since the last `forget`. */
  readonly seen: readonly Seen[]
  /** How many requests it has left without any answer since the last `forget`. */
  readonly silences: number
  /** The mark of a request with which it is to do this. */
  markFor(plan: Plan): string
  plan(mark: string): Plan | undefined
  /** True when no request is waiting for anything on any connection. */
  isQuiet(): boolean
  /** Cuts the connections of what it would never answer or end. */
  giveUp(): void
  /** Plans and requests so far. */
  forget(): void
  close(): Promise<void>
}

/** For requests without a plan: they stay where they are, so that they can be counted. */
const holds: Plan = { way: 'silence', early: true, interim: '', waits: 0, pieces: [1], pause: 0, after: 'keeps' }

export async function startApi(): Promise<Api> {
  const plans = new Map<string, Plan>()
  const seen: Seen[] = []
  /** With the request that it is at. */
  const open = new Map<Socket, Seen | undefined>()
  const streams = new Set<Socket>()
  let marks = 0
  let silences = 0

  const server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
    open.set(socket, undefined)
    socket.on('error', () => {})
    socket.on('end', () => socket.end())
    socket.on('close', () => {
      open.delete(socket)
      streams.delete(socket)
    })
    readRequests(socket, (each) => {
      seen.push(each)
      open.set(socket, each)
      void act(socket, each)
    })
  })

  async function act(socket: Socket, each: Arriving): Promise<void> {
    const { mark, method } = each
    const plan = plans.get(mark) ?? holds
    const { way, early, interim, waits, pause, after } = plan
    while (!early && !each.whole && open.has(socket)) await turns(1)
    await turns(waits)
    if (!socket.writable) return
    const write = (bytes: string) => void (socket.writable && socket.write(bytes, 'latin1'))
    if (interim !== '') write(interim)
    if (interim !== '') await turns(1)
    if (way === 'hang up') return void socket.end()
    if (way === 'reset') return void socket.resetAndDestroy()
    if (way === 'silence') return void silences++
    write(answerHead(mark, plan))
    const hasBody = method !== 'HEAD' && way !== 'empty'
    if (hasBody) {
      await writeBody(mark, plan, write)
      if (way === 'stream') return void streams.add(socket)
    }
    if (open.get(socket) === each) open.set(socket, undefined)
    if (way === 'no length' || saysThatItCloses(plan)) return void socket.end()
    await turns(pause)
    if (after === 'closes' || (way === 'half' && hasBody)) socket.end()
    if (after === 'resets') socket.resetAndDestroy()
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    get silences() {
      return silences
    },
    markFor(plan) {
      const mark = `m${marks++}`
      plans.set(mark, plan)
      return mark
    },
    plan: (mark) => plans.get(mark),
    isQuiet: () => [...open.values()].every((each) => each === undefined),
    giveUp() {
      for (const [socket, each] of open) {
        const way = each === undefined ? undefined : plans.get(each.mark)?.way
        if (way === 'silence' || streams.has(socket)) socket.destroy()
      }
    },
    forget() {
      plans.clear()
      seen.length = 0
      silences = 0
    },
    async close() {
      for (const socket of open.keys()) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function saysThatItCloses({ way, after }: Plan): boolean {
  return after === 'says that it closes' && way !== 'stream'
}

function answerHead(mark: string, plan: Plan): string {
  const { way, pieces } = plan
  const status = way === 'empty' ? '204 No Content' : '200 OK'
  const close = saysThatItCloses(plan) ? ['Connection: close'] : []
  const lines = [`HTTP/1.1 ${status}`, `X-Mark: ${mark}`, ...close, ...framing(way, wholeBody(mark, pieces).length)]
  return `${lines.join('\r\n')}\r\n\r\n`
}

function framing(way: Plan['way'], length: number): readonly string[] {
  if (way === 'empty') return ['X-Empty: 1']
  if (way === 'length') return [`Content-Length: ${length}`]
  if (way === 'half') return [`Content-Length: ${length + 5}`]
  if (way === 'no length') return ['Connection: close']
  return [...(way === 'stream' ? ['Content-Type: text/event-stream'] : []), 'Transfer-Encoding: chunked']
}

async function writeBody(mark: string, { way, pieces, pause }: Plan, write: (bytes: string) => void): Promise<void> {
  for (const length of pieces) {
    await turns(pause)
    const piece = marked(mark, length)
    write(way === 'chunked' || way === 'stream' ? `${length.toString(16)}\r\n${piece}\r\n` : piece)
  }
  if (way === 'chunked') write('0\r\n\r\n')
}
