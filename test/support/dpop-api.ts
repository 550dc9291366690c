import { createHash, randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import {
  calculateJwkThumbprint,
  createLocalJWKSet,
  EmbeddedJWK,
  type JSONWebKeySet,
  type JWTPayload,
  type JWTVerifyGetKey,
  jwtVerify,
} from 'jose'
import { WebSocketServer } from 'ws'

/** A call that the API looked at, and what was wrong with it; `ok` where nothing was. */
export interface ProvedCall {
  readonly method: string
  readonly target: string
  readonly verdict: string
  readonly headers: IncomingMessage['headers']
  readonly header: Readonly<Record<string, unknown>>
  readonly claims: JWTPayload
  readonly body: string
}

/** An API that takes bound tokens only, and checks each proof as RFC 9449 §4.3 and §7.1 say. */
export interface DpopApi {
  readonly origin: string
  readonly calls: ProvedCall[]
  /** The nonce that proofs have to carry; undefined for none. */
  nonce: string | undefined
  /** Sent with every answer, whatever comes of the call. */
  answerFields: Readonly<Record<string, string>>
  /** What the `htu` of proofs has to begin with; its own origin unless a gateway stands before it. */
  base: string
  /** Takes tokens that were signed with one of these keys. */
  trust(jwks: JSONWebKeySet): void
  close(): Promise<void>
}

/** Starts the API. */
export async function startDpopApi(): Promise<DpopApi> {
  let keys = createLocalJWKSet({ keys: [] })
  const seen = new Set<string>()
  const server = createServer((request, response) => {
    void (async () => {
      const body = await textOf(request)
      const { verdict, answer } = await judge(request, body)
      response.writeHead(verdict === 'ok' ? 200 : 401, answer).end(JSON.stringify({ verdict, body }))
    })()
  })
  const webSockets = new WebSocketServer({ noServer: true })
  server.on('upgrade', (request, socket, head) => {
    void (async () => {
      const { verdict, answer } = await judge(request, '')
      if (verdict === 'ok') {
        webSockets.handleUpgrade(request, socket, head, (webSocket) => webSocket.send('hello'))
        return
      }
      const lines = Object.entries(answer).map(([name, value]) => `${name}: ${value}\r\n`)
      socket.end(`HTTP/1.1 401 Unauthorized\r\n${lines.join('')}content-length: 0\r\n\r\n`)
    })()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

  async function judge(request: IncomingMessage, body: string) {
    const { method = '', url: target = '', headers } = request
    const proof = await readProof(request)
    const verdict = typeof proof === 'string' ? proof : await verdictOf(request, proof)
    const { header = {}, claims = {} } = typeof proof === 'string' ? {} : proof
    api.calls.push({ method, target, verdict, headers, header, claims, body })
    const challenge =
      verdict === 'ok' ? {} : { 'www-authenticate': `dPoP realm="api", error="${verdict}", algs="ES256"` }
    const nonce = api.nonce === undefined ? {} : { 'dpop-nonce': api.nonce }
    return { verdict, answer: { 'content-type': 'application/json', ...challenge, ...nonce, ...api.answerFields } }
  }

  async function verdictOf(request: IncomingMessage, { header, claims }: Proof): Promise<string> {
    const [scheme, token = ''] = (request.headers.authorization ?? '').split(' ')
    if (scheme !== 'DPoP') return 'scheme'
    const path = new URL(request.url ?? '', origin).pathname
    if (claims['htm'] !== request.method) return 'htm'
    if (claims['htu'] !== `${api.base}${path}`) return 'htu'
    if (Math.abs((claims.iat ?? 0) - Date.now() / 1000) > 60) return 'iat'
    if (claims['ath'] !== createHash('sha256').update(token).digest('base64url')) return 'ath'
    const { payload } = await jwtVerify(token, keys)
    const bound = payload['cnf'] as { jkt?: string } | undefined
    if (bound?.jkt === undefined || bound.jkt !== (await calculateJwkThumbprint(header['jwk'] as object))) return 'jkt'
    if (api.nonce !== claims['nonce'] && api.nonce !== undefined) return 'use_dpop_nonce'
    if (claims.jti === undefined || claims.jti.length < 16 || seen.has(claims.jti)) return 'jti'
    seen.add(claims.jti)
    return 'ok'
  }

  const api: DpopApi = {
    origin,
    calls: [],
    nonce: undefined,
    answerFields: {},
    base: origin,
    trust(jwks) {
      keys = createLocalJWKSet(jwks)
    },
    async close() {
      for (const client of webSockets.clients) client.terminate()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return api
}

/** A nonce that nobody can have seen before. */
export const freshNonce = (): string => `nonce-${randomUUID()}`

interface Proof {
  readonly header: Readonly<Record<string, unknown>>
  readonly claims: JWTPayload
}

/** The proof of a request, or what is wrong with its form. */
async function readProof({ headersDistinct }: IncomingMessage): Promise<Proof | string> {
  const { dpop: proofs = [] } = headersDistinct
  const [proof] = proofs
  if (proof === undefined || proofs.length > 1) return 'proof_count'
  try {
    const options = { typ: 'dpop+jwt', algorithms: ['ES256'] }
    // jose refuses a key that is private.
    const { protectedHeader, payload } = await jwtVerify(proof, EmbeddedJWK as JWTVerifyGetKey, options)
    return { header: { ...protectedHeader }, claims: payload }
  } catch {
    return 'invalid_dpop_proof'
  }
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}
