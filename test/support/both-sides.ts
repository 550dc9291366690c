import { expect } from 'vitest'
import type { AccessContent } from '../../shared/cookies/session.ts'
import { type NginxWorld, everythingElse, startNginxWorld } from './nginx-world.ts'
import { type ProxyWorld, hostLine, ownPage, startProxy } from './proxy-world.ts'
import { type RawAnswer, errorCode, rawRequest, sendRaw } from './raw-http.ts'
import { type SeenRequest, startUpstream } from './upstream.ts'

/** What one side made of a request: the answer, and the request as the API saw it. */
export interface Outcome {
  readonly status: number
  readonly errorCode: unknown
  readonly seen: ReturnType<typeof visible> | undefined
}

/** The proxy and nginx with the decision inside, over the same routes to the same API. */
export interface BothSides {
  readonly proxy: ProxyWorld
  readonly nginx: NginxWorld
  /** Sends the same bytes to both, with the cookies of a signed-in browser in the place of `{cookies}`. */
  send(bytes: string, change?: Partial<AccessContent>): Promise<{ readonly proxy: Outcome; readonly nginx: Outcome }>
  close(): Promise<void>
}

const routes = (origin: string) => `
    - path: /api/**
      methods: [GET, HEAD, POST]
      upstream: ${origin}
    - path: /api/admin
      methods: [POST]
      upstream: ${origin}
    - path: /api/users/*/orders
      upstream: ${origin}
      forward_cookies: [theme]
    - path: /exact
      upstream: ${origin}
      strip_prefix: /exact
      add_prefix: /inner
    - path: /open/**
      upstream: ${origin}
      credential: { kind: none }
      anonymous: none
    - path: /files/**
      methods: [GET, HEAD, POST]
      upstream: ${origin}
      headerless: [download]
`

/** Starts both sides. */
export async function startBothSides(): Promise<BothSides> {
  const upstream = await startUpstream()
  const proxy = await startProxy(routes(upstream.origin))
  const nginx = await startNginxWorld(routes(upstream.origin), '', async () => ({ directives: everythingElse }))

  async function outcome(answer: Promise<RawAnswer>): Promise<Outcome> {
    const before = upstream.seen.length
    const answered = await answer
    const seen = upstream.seen.slice(before)
    expect(seen.length).toBeLessThanOrEqual(1)
    return { status: answered.status, errorCode: errorCode(answered), seen: seen[0] && visible(seen[0]) }
  }

  return {
    proxy,
    nginx,
    async send(bytes, change) {
      return {
        proxy: await outcome(sendRaw(proxy.port, bytes.replace('{cookies}', proxy.cookies(change)))),
        nginx: await outcome(sendRaw(nginx.port, bytes.replace('{cookies}', nginx.cookies(change)))),
      }
    },
    async close() {
      await proxy.close()
      await nginx.close()
      await upstream.close()
    },
  }
}

/** Fields in which both sides may differ: ids are random, and framing belongs to the connection. */
const ownToEach = new Set(['x-request-id', 'connection', 'host', 'traceparent', 'tracestate', 'content-length'])

/** Lines of one field are joined, which is the same to a reader (RFC 9110 §5.3). */
function visible({ target, lines }: SeenRequest) {
  const fields = new Map<string, string>()
  for (const line of lines) {
    const name = line.slice(0, line.indexOf(':')).toLowerCase()
    const value = line.slice(name.length + 1).trim()
    if (!ownToEach.has(name)) fields.set(name, fields.has(name) ? `${fields.get(name)}, ${value}` : value)
  }
  return { target, fields: Object.fromEntries(fields) }
}

/** Header lines of a signed-in page. */
export const signedIn = [...ownPage, 'Cookie: {cookies}']

/** A request as bytes. */
export function request(
  method: string,
  target: string,
  more: readonly string[] = [],
  lines: readonly string[] = signedIn,
): string {
  return rawRequest(method, target, [hostLine, ...lines, ...more])
}
