import fc from 'fast-check'

/** The sessions of the users, by the number that a request or an event names. */
export const sessions = ['AAECAwQFBgcICQoLDA0ODw', 'BAECAwQFBgcICQoLDA0ODw', 'CAECAwQFBgcICQoLDA0ODw'] as const

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
/** One client, with all that it sends on its connection. */
export const client = fc.record({
  starts: fc.nat(8),
  requests: fc.array(request, { minLength: 1, maxLength: 4 }),
  /** Sends the next without waiting for an answer. */
  pipelines: fc.boolean(),
  end: fc.constantFrom('waits', 'waits', 'waits', 'closes', 'resets', 'ends its side', 'talks nonsense'),
  /** When it does that, in turns. */
  endsAfter: fc.nat(30),
  stopsReading: fc.constantFrom(0, 0, 0, 10),
})
/** What users and operators do meanwhile. */
export const event = fc.record({
  after: fc.nat(30),
  kind: fc.constantFrom('sign-out', 'reload', 'reload without the route', 'time passes', 'stop'),
  session: fc.nat(sessions.length - 1),
})

export type Plan = typeof plan extends fc.Arbitrary<infer T> ? T : never
export type Request = typeof request extends fc.Arbitrary<infer T> ? T : never
export type Client = typeof client extends fc.Arbitrary<infer T> ? T : never
export type Event = typeof event extends fc.Arbitrary<infer T> ? T : never

/** Whether any event is of one of these kinds. */
export function happens(events: readonly Event[], ...kinds: readonly Event['kind'][]): boolean {
  return events.some(({ kind }) => kinds.includes(kind))
}

/** What stands in the body of a request; empty where it has none. */
export function requestBody(mark: string, { method, body, pieces }: Request): string {
  return hasBody({ method, body }) ? wholeBody(mark, pieces) : ''
}

/** GET and HEAD send none, whatever was drawn for them. */
export function hasBody({ method, body }: Pick<Request, 'method' | 'body'>): boolean {
  return method !== 'GET' && method !== 'HEAD' && body !== 'none'
}

/** Bytes that belong to this request and its answer alone. */
export function marked(mark: string, length: number): string {
  return `<${mark}>`.repeat(Math.ceil(length / (mark.length + 2))).slice(0, length)
}

/** The body that goes out in these pieces. */
export function wholeBody(mark: string, pieces: readonly number[]): string {
  return pieces.map((length) => marked(mark, length)).join('')
}
