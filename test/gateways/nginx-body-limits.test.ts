import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type NginxWorld, fromNow, startNginxWorld } from '../support/nginx-world.ts'
import { hostLine, ownPage, type ProxyWorld, publicOrigin, startProxy } from '../support/proxy-world.ts'
import { errorCode, openRaw, parseAnswer } from '../support/raw-http.ts'
import { answer, okBytes, startUpstream, type Upstream } from '../support/upstream.ts'

/** Attack: a body longer than a route allows, or a long one with which nginx forgets what it was going to say. */

let upstream: Upstream
let proxy: ProxyWorld
let nginx: NginxWorld

const mebibyte = 1_048_576
/** One path with several routes; the one of GET allows the 10 MiB of a route that says nothing. */
const routes = (origin: string) => `
    - { path: /many/**, methods: [GET], upstream: '${origin}' }
    - { path: /many/**, methods: [POST], upstream: '${origin}', max_body_bytes: 64 }
    - { path: /many/**, methods: [PUT], upstream: '${origin}', max_body_bytes: ${3 * mebibyte} }
    - { path: /small/**, methods: [GET], upstream: '${origin}', max_body_bytes: 32 }
    - { path: /small/**, methods: [POST], upstream: '${origin}', max_body_bytes: 64 }
    - { path: /api/**, methods: [POST], upstream: '${origin}' }
`

beforeAll(async () => {
  upstream = await startUpstream()
  proxy = await startProxy(routes(upstream.origin))
  nginx = await startNginxWorld(routes(upstream.origin))
})
beforeEach(() => upstream.reset())
afterAll(async () => {
  await proxy.close()
  await nginx.close()
  await upstream.close()
})

const more = [`Origin: ${publicOrigin}`]

/** Sends a body in chunks of 32 bytes: nobody is told its length beforehand. */
async function sendChunks(world: ProxyWorld | NginxWorld, target: string, size: number) {
  const lines = [hostLine, ...ownPage, ...more, `Cookie: ${world.cookies()}`, 'Transfer-Encoding: chunked']
  const chunks = `20\r\n${'x'.repeat(32)}\r\n`.repeat(Math.ceil(size / 32))
  const connection = await openRaw(world.port)
  connection.write(`POST ${target} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n${chunks}0\r\n\r\n`)
  const answered = parseAnswer(await connection.until((text) => text.includes('}')))
  connection.close()
  return answered
}

describe('K16 each route of a path has its own limit', () => {
  it.each([
    ['POST', '/many/a', 64, 200],
    ['POST', '/many/a', 65, 413],
    ['POST', '/many/a', mebibyte + 1, 413],
    ['PUT', '/many/a', 65, 200],
    ['PUT', '/many/a', mebibyte + 1, 200],
    ['PUT', '/many/a', 3 * mebibyte, 200],
    ['PUT', '/many/a', 3 * mebibyte + 1, 413],
    ['GET', '/many/a', 3 * mebibyte + 1, 200],
    ['GET', '/small/a', 33, 413],
    ['POST', '/small/a', 33, 200],
    ['POST', '/small/a', 65, 413],
  ])('%s %s with %i bytes: %i', async (method, target, size, status) => {
    for (const world of [proxy, nginx]) {
      upstream.reset()
      const answered = await world.call(method, target, { more, body: 'x'.repeat(size) })
      expect([answered.status, errorCode(answered)]).toEqual([status, status === 200 ? undefined : 'payload_too_large'])
      expect(upstream.seen.map(({ body }) => body.length)).toEqual(status === 200 ? [size] : [])
    }
  })

  it.each([
    [64, 200],
    [96, 413],
  ])('POST with %i bytes in chunks: %i', async (size, status) => {
    for (const world of [proxy, nginx]) {
      const answered = await sendChunks(world, '/many/a', size)
      expect([answered.status, errorCode(answered)]).toEqual([status, status === 200 ? undefined : 'payload_too_large'])
    }
  })
})

describe('a long body does not change what is said', () => {
  const challenge = 'WWW-Authenticate: Bearer error="invalid_token"'
  const elsewhere = 'Location: https://evil.example/'

  it.each([
    ['the session is over', '/api/a', { accessTokenExpiresAt: -10 }, '', 401, 'access_token_expired'],
    ['the target is ambiguous', '/api/a%2e', {}, '', 400, 'ambiguous_request'],
    ['the API refuses the token', '/api/a', {}, okBytes('', [challenge], '401 No'), 401, 'upstream_unauthorized'],
    ['the API sends elsewhere', '/api/a', {}, okBytes('', [elsewhere], '302 Found'), 502, 'upstream_invalid_response'],
  ])('%s', async (_, target, times, bytes, status, code) => {
    if (bytes !== '') upstream.behave(answer(bytes))
    const change = Object.fromEntries(Object.entries(times).map(([name, seconds]) => [name, fromNow(seconds)]))
    for (const size of [1000, mebibyte + 1, 3 * mebibyte]) {
      const answered = await nginx.call('POST', target, {
        more,
        cookies: nginx.cookies(change),
        body: 'x'.repeat(size),
      })
      expect([answered.status, errorCode(answered), answered.header('token-handler-error')]).toEqual([
        status,
        code,
        code,
      ])
      expect(answered.header('content-type')).toBe('application/json')
    }
  })
})
