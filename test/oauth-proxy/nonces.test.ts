import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { decodeJwt } from 'jose'
import { afterEach, describe, expect, it } from 'vitest'
import { createDpopKeys } from '../../shared/crypto/dpop-keys.ts'
import { freshNonce } from '../support/dpop-api.ts'
import { binding } from '../support/installation.ts'
import { hostLine, ownPage, type ProxyWorld, startProxy } from '../support/proxy-world.ts'
import { errorCode, openRaw, parseAnswer } from '../support/raw-http.ts'
import { resolvable } from '../support/resolvable.ts'

const stops: (() => unknown)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop()
})

type Serve = (request: IncomingMessage, response: ServerResponse, api: Server) => void

/** An API that does what it is told with the head of each request; returns its origin. */
async function listen(serve: Serve): Promise<string> {
  const api = createServer((request, response) => serve(request, response, api))
  await new Promise<void>((resolve) => api.listen(0, '127.0.0.1', resolve))
  stops.push(() => {
    api.closeAllConnections()
    api.close()
  })
  return `http://127.0.0.1:${(api.address() as AddressInfo).port}`
}

/** A proxy before such an API. */
const start = async (serve: Serve) => startBefore(await listen(serve))

async function startBefore(...upstreams: string[]): Promise<{ proxy: ProxyWorld; cookies: string }> {
  const route = `    - { path: /a/**, methods: [GET, POST], upstream: ${JSON.stringify(upstreams)} }`
  const proxy = await startProxy(route, '', undefined, '  dpop_bound_access_tokens: true')
  stops.push(() => proxy.close())
  const { keyId: dpopKeyId } = createDpopKeys({ keys: proxy.keys, binding }).current()
  return { proxy, cookies: proxy.cookies({ dpopKeyId }) }
}

const nonceOf = ({ headers }: IncomingMessage) => decodeJwt(String(headers['dpop']))['nonce']

function demandNonce(response: ServerResponse, nonce: string): void {
  response.writeHead(401, { 'www-authenticate': 'DPoP error="use_dpop_nonce"', 'dpop-nonce': nonce }).write('no')
}

async function textOf(request: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of request) text += String(chunk)
  return text
}

describe('an API that gives a nonce with every answer and takes each once', () => {
  it.each(['GET', 'POST'])('asks for each %s at most twice, however many come at once', async (method) => {
    const open = new Set<unknown>()
    const carriedOut: string[] = []
    const tries = new Map<string, number>()
    const targets = Array.from({ length: 20 }, (_, index) => `/a/${index}`)
    const refusals: ServerResponse[] = []
    const issue = () => {
      const nonce = freshNonce()
      open.add(nonce)
      return nonce
    }
    const { proxy, cookies } = await start((request, response) => {
      void textOf(request).then(() => {
        const target = request.url ?? ''
        tries.set(target, (tries.get(target) ?? 0) + 1)
        if (!open.delete(nonceOf(request))) {
          demandNonce(response, issue())
          refusals.push(response)
        } else {
          carriedOut.push(target)
          response.writeHead(200, { 'dpop-nonce': issue() }).end('done')
        }
        // Refusals end when all calls have come, so that the newest nonce is not that of the call that is refused.
        if (tries.size === targets.length) for (const each of refusals.splice(0)) each.end()
      })
    })
    const body = method === 'POST' ? { body: 'an order' } : {}
    const answers = await Promise.all(targets.map((target) => proxy.call(method, target, { cookies, ...body })))
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200))
    expect(carriedOut.toSorted()).toEqual(targets.toSorted())
    expect(Math.max(...tries.values())).toBe(2)
  })
})

describe('an API that gives its nonce with refusals only', () => {
  it('is shown it by the calls that follow the one that was refused', async () => {
    const shown: unknown[] = []
    const { proxy, cookies } = await start((request, response) => {
      const nonce = nonceOf(request)
      shown.push(nonce)
      if (nonce === 'n1') response.end('done')
      else {
        demandNonce(response, 'n1')
        response.end()
      }
    })
    for (const _ of [1, 2]) expect((await proxy.call('GET', '/a/x', { cookies })).status).toBe(200)
    expect(shown).toEqual([undefined, 'n1', 'n1'])
  })
})

describe('an API that goes away after it has asked for a nonce', () => {
  it.each<[string, { body?: string }]>([
    ['GET', {}],
    ['POST', { body: 'an order' }],
  ])('has seen nothing of a %s, which another place of it gets, without that nonce (DP-5)', async (method, options) => {
    const seen: [body: string, nonce: unknown][] = []
    const other = await listen((request, response) => {
      void textOf(request).then((text) => {
        seen.push([text, nonceOf(request)])
        response.end('done')
      })
    })
    const first = await listen((request, response, api) => {
      api.close()
      response.shouldKeepAlive = false
      demandNonce(response, 'n1')
      response.end()
      request.resume()
    })
    const { proxy, cookies } = await startBefore(first, other)
    expect((await proxy.call(method, '/a/x', { cookies, ...options })).status).toBe(200)
    expect(seen).toEqual([[options.body ?? '', undefined]])
  })
})

/**
 * Sends the head of a POST and the first bytes of its body to an API that asks for a nonce before the rest has come, and
 * then answers with the body; the rest is sent by the test, once the API has asked.
 */
async function beginPost(lines: string[], first: string) {
  const bodies: string[] = []
  const demanded = resolvable()
  const { proxy, cookies } = await start((request, response) => {
    if (nonceOf(request) === undefined) {
      demandNonce(response, 'n1')
      response.end(demanded.resolve)
      return
    }
    void textOf(request).then((text) => {
      bodies.push(text)
      response.end('done')
    })
  })
  const connection = await openRaw(proxy.port)
  stops.push(() => connection.close())
  const head = ['POST /a/x HTTP/1.1', hostLine, ...ownPage, `Cookie: ${cookies}`, ...lines]
  connection.write(`${head.join('\r\n')}\r\n\r\n${first}`)
  await demanded.promise
  return { proxy, connection, bodies }
}

describe('an API that asks for a nonce before the body has come', () => {
  it.each<[string, string[], string, string]>([
    ['with a length', ['Content-Length: 8'], 'an o', 'rder'],
    ['in chunks', ['Transfer-Encoding: chunked'], '4\r\nan o\r\n', '4\r\nrder\r\n0\r\n\r\n'],
  ])('gets the whole of it with the next try: %s', async (_what, lines, first, rest) => {
    const { connection, bodies } = await beginPost(lines, first)
    connection.write(rest)
    const answer = parseAnswer(await connection.until((text) => text.includes('done') || text.includes('error_code')))
    expect([answer.status, errorCode(answer)]).toEqual([200, undefined])
    expect(bodies).toEqual(['an order'])
  })

  it('is not asked again for a body that turns out to be too long to be kept', async () => {
    const { connection, bodies } = await beginPost(['Content-Length: 65537'], 'x')
    connection.write('x'.repeat(65_536))
    const answer = parseAnswer(await connection.until((text) => text.includes('error_code')))
    expect([answer.status, errorCode(answer)]).toEqual([503, 'upstream_nonce_required'])
    expect(bodies).toEqual([])
  })

  it('is not asked again where the browser breaks off', async () => {
    const { proxy, connection, bodies } = await beginPost(['Content-Length: 8'], 'an o')
    connection.close()
    await expect.poll(() => proxy.events.map(({ name }) => name)).toContain('request.answered')
    expect(bodies).toEqual([])
    // The API did nothing wrong.
    const told = proxy.events.filter(({ name }) => name.startsWith('upstream.'))
    expect(told.map(({ name, fields }) => [name, fields['outcome']])).toEqual([['upstream.called', 'client_gone']])
  })
})
