import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type CryptoKey, decodeJwt, exportJWK, generateKeyPair, type JWK, type JWTPayload, SignJWT } from 'jose'
import { systemClock } from '../../shared/clock.ts'
import type { Page, PageAnswer } from './page.ts'
import { resolvable } from './resolvable.ts'
import { startWorld, type World, type WorldOptions } from './world.ts'

/** What an endpoint does: an answer, silence, a reset before any byte, or an answer cut off in its middle. */
export type Reply = { status?: number; headers?: Record<string, string>; body: unknown } | 'hang' | 'reset' | 'cut'
/** What an endpoint does with a request: with its body, and with the query where it has none. */
export type Act = (form: URLSearchParams, request: IncomingMessage) => Reply | Promise<Reply>

/** A key the server signs with, and its public half. */
export interface SigningKey {
  readonly alg: string
  readonly kid: string
  readonly privateKey: CryptoKey
  readonly publicJwk: JWK
}

/** What each endpoint does; every row can be replaced while the server runs. */
export interface Script {
  metadata: Act
  jwks: Act
  authorization: Act
  token: Act
  userinfo: Act
  revocation: Act
  par: Act
}

/** An authorization server that does what a test says, and otherwise what a good one does, with rotation and reuse detection. */
export interface ScriptedServer {
  readonly issuer: string
  readonly keys: SigningKey[]
  readonly script: Script
  /** Its clock, in seconds since 1970. */
  now: () => number
  /** Requests by endpoint, in order. */
  readonly requests: { endpoint: keyof Script; form: URLSearchParams; headers: IncomingMessage['headers'] }[]
  count(endpoint: keyof Script): number
  /** Forgets the requests, and answers those for tokens as a good server does. */
  reset(): void
  /** Puts these members into its metadata, over what stands there; one of `undefined` is left out. */
  changeMetadata(members: Readonly<Record<string, unknown>>): void
  /**
   * Keeps the answers to refreshes back until the function is called; they are good ones unless told.
   *
   * The server has done its part by then: a refresh token that it rotates is used up.
   */
  holdRefresh(reply?: Reply): () => void
  /** What was asked for by this authorization URL, wherever it stands: in the URL, in a request object, or pushed. */
  asked(authorizationUrl: string): Record<string, unknown>
  /** The query with which the browser comes back from this authorization URL, as a signed-in `subject`. */
  authorize(authorizationUrl: string, subject?: string): URLSearchParams
  /** The nonce of the latest authorization request. */
  lastNonce(): string
  /** An ID token with these claims on top of good ones. */
  idToken(claims?: JWTPayload, change?: { key?: SigningKey; header?: Record<string, unknown> }): Promise<string>
  /** An authorization response as a JWT (JARM), with these claims on top of good ones. */
  signedResponse(claims: JWTPayload, change?: { key?: SigningKey; header?: Record<string, unknown> }): Promise<string>
  /** A good logout token, with these claims on top; a claim of `undefined` is left out. */
  logoutToken(claims?: JWTPayload, change?: { key?: SigningKey; header?: Record<string, unknown> }): Promise<string>
  /** The answer a good server gives to this token request, with changes. */
  tokens(form: URLSearchParams, change?: Record<string, unknown>, claims?: JWTPayload): Promise<Reply>
  close(): Promise<void>
}

/** A fresh key; with a `kid` of your choice it can pretend to be another. */
export async function createSigningKey(alg = 'ES256', kid: string = crypto.randomUUID()): Promise<SigningKey> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
  return { alg, kid, privateKey, publicJwk: { ...(await exportJWK(publicKey)), alg, kid, use: 'sig' } }
}

interface Grant {
  readonly subject: string
  readonly nonce: string
  readonly clientId: string
  readonly scope: string
  readonly authTime: number
}

/** Starts a server that behaves well until told otherwise. */
export async function startScriptedServer(): Promise<ScriptedServer> {
  const codes = new Map<string, Grant>()
  const refreshTokens = new Map<string, { grant: Grant; used: boolean }>()
  const pushed = new Map<string, URLSearchParams>()
  const server = createServer((request, response) => void answer(request, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const secret = (kind: string) => `${kind}-${crypto.randomUUID()}`
  const sign = (claims: JWTPayload, change: { key?: SigningKey; header?: Record<string, unknown> } = {}) => {
    const signer = change.key ?? scripted.keys[0]
    if (signer === undefined) throw new Error('no key')
    return new SignJWT(claims)
      .setProtectedHeader({ alg: signer.alg, kid: signer.kid, ...change.header })
      .sign(signer.privateKey)
  }

  const scripted: ScriptedServer = {
    issuer,
    keys: [await createSigningKey()],
    now: () => systemClock.nowSeconds(),
    requests: [],
    reset() {
      scripted.requests.length = 0
      scripted.script.token = (form) => scripted.tokens(form)
    },
    changeMetadata(members) {
      const { metadata } = scripted.script
      scripted.script.metadata = async (form, request) => {
        const reply = await metadata(form, request)
        return typeof reply === 'string' ? reply : { ...reply, body: { ...(reply.body as object), ...members } }
      }
    },
    holdRefresh(reply) {
      const released = resolvable()
      scripted.script.token = async (form) => {
        const good = await scripted.tokens(form)
        if (form.get('grant_type') !== 'refresh_token') return good
        await released.promise
        return reply ?? good
      }
      return released.resolve
    },
    count: (endpoint) => scripted.requests.filter((each) => each.endpoint === endpoint).length,
    script: {
      metadata: () => ({
        body: {
          issuer,
          authorization_endpoint: `${issuer}/authorize`,
          token_endpoint: `${issuer}/token`,
          jwks_uri: `${issuer}/jwks`,
          userinfo_endpoint: `${issuer}/userinfo`,
          revocation_endpoint: `${issuer}/revocation`,
          end_session_endpoint: `${issuer}/logout`,
          response_types_supported: ['code'],
          subject_types_supported: ['public'],
          id_token_signing_alg_values_supported: ['ES256', 'RS256'],
          code_challenge_methods_supported: ['S256'],
          authorization_response_iss_parameter_supported: true,
        },
      }),
      jwks: () => ({ body: { keys: scripted.keys.map(({ publicJwk }) => publicJwk) } }),
      // Nobody is signed in here, so it comes back at once (OpenID Connect Core §3.1.2.6).
      authorization(form) {
        const { redirect_uri: redirectUri, state } = scripted.asked(`${issuer}/authorize?${form}`)
        const query = new URLSearchParams({ error: 'login_required', state: String(state), iss: issuer })
        return { status: 302, headers: { location: `${String(redirectUri)}?${query}` }, body: '' }
      },
      token: (form) => scripted.tokens(form),
      userinfo: () => ({ body: { sub: 'alice' } }),
      revocation: () => ({ body: '' }),
      par(form) {
        const uri = `urn:example:${crypto.randomUUID()}`
        pushed.set(uri, form)
        return { status: 201, body: { request_uri: uri, expires_in: 60 } }
      },
    },
    asked(authorizationUrl) {
      const inUrl = new URL(authorizationUrl).searchParams
      const sent = pushed.get(inUrl.get('request_uri') ?? '') ?? inUrl
      const object = sent.get('request')
      return object === null ? Object.fromEntries(sent) : decodeJwt(object)
    },
    authorize(authorizationUrl, subject = 'alice') {
      const asked = scripted.asked(authorizationUrl)
      const text = (name: string) => (typeof asked[name] === 'string' ? asked[name] : '')
      const code = secret('code')
      codes.set(code, {
        subject,
        nonce: text('nonce'),
        clientId: text('client_id'),
        scope: text('scope'),
        authTime: scripted.now(),
      })
      return new URLSearchParams({ code, state: text('state'), iss: issuer })
    },
    lastNonce: () => [...codes.values()].at(-1)?.nonce ?? '',
    idToken: (claims = {}, change = {}) =>
      sign(
        { iss: issuer, sub: 'alice', aud: 'spa', iat: scripted.now(), exp: scripted.now() + 300, ...claims },
        change,
      ),
    signedResponse: (claims, change) => sign({ iss: issuer, aud: 'spa', exp: scripted.now() + 300, ...claims }, change),
    logoutToken: (claims = {}, { key, header = {} } = {}) =>
      sign(
        {
          iss: issuer,
          aud: 'spa',
          iat: scripted.now(),
          exp: scripted.now() + 120,
          jti: crypto.randomUUID(),
          events: { 'http://schemas.openid.net/event/backchannel-logout': {} },
          ...claims,
        },
        { ...(key === undefined ? {} : { key }), header: { typ: 'logout+jwt', ...header } },
      ),
    async tokens(form, change = {}, claims = {}) {
      const presented = form.get('refresh_token') ?? ''
      const found = refreshTokens.get(presented)
      // A refresh token that comes twice looks stolen: everything that came of its sign-in is revoked.
      if (found?.used === true)
        for (const [token, { grant }] of refreshTokens) if (grant === found.grant) refreshTokens.delete(token)
      const grant = found === undefined ? codes.get(form.get('code') ?? '') : found.used ? undefined : found.grant
      codes.delete(form.get('code') ?? '')
      if (grant === undefined) return { status: 400, body: { error: 'invalid_grant' } }
      if (found !== undefined) found.used = true
      const refreshToken = secret('refresh')
      refreshTokens.set(refreshToken, { grant, used: false })
      const { subject, nonce, clientId, authTime, scope } = grant
      const idClaims = { sub: subject, aud: clientId, nonce, auth_time: authTime, ...claims }
      return {
        body: {
          access_token: secret('access'),
          token_type: 'Bearer',
          expires_in: 300,
          refresh_token: refreshToken,
          scope,
          id_token: await scripted.idToken(idClaims),
          ...change,
        },
      }
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }

  const paths: Readonly<Record<string, keyof Script>> = {
    '/.well-known/openid-configuration': 'metadata',
    '/jwks': 'jwks',
    '/authorize': 'authorization',
    '/token': 'token',
    '/userinfo': 'userinfo',
    '/revocation': 'revocation',
    '/par': 'par',
  }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [path = '', query = ''] = (request.url ?? '').split('?')
    const endpoint = paths[path]
    if (endpoint === undefined) {
      response.writeHead(404).end()
      return
    }
    let text = ''
    for await (const chunk of request.setEncoding('utf8')) text += String(chunk)
    const form = new URLSearchParams(text === '' ? query : text)
    scripted.requests.push({ endpoint, form, headers: request.headers })
    write(response, await scripted.script[endpoint](form, request))
  }
  return scripted
}

function write(response: ServerResponse, reply: Reply): void {
  if (reply === 'hang') return
  if (reply === 'reset') {
    response.destroy()
    return
  }
  if (reply === 'cut') {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' })
    response.write('{"access_token":"half')
    setImmediate(() => response.destroy())
    return
  }
  const isText = typeof reply.body === 'string'
  const body = isText ? String(reply.body) : JSON.stringify(reply.body)
  response.writeHead(reply.status ?? 200, { 'content-type': 'application/json', ...reply.headers }).end(body)
}

/** A world before a scripted authorization server. */
export interface ScriptedWorld extends World {
  readonly server: ScriptedServer
  /** Starts a sign-in and gives the query with which the browser comes back. */
  start(page: Page, form?: Readonly<Record<string, string>>, subject?: string): Promise<URLSearchParams>
  /** Starts and finishes a sign-in; the answer is that of /login/end. */
  signIn(page: Page, form?: Readonly<Record<string, string>>, subject?: string): Promise<PageAnswer>
}

/** Starts a scripted server and a world before it. */
export async function startScriptedWorld(options: Omit<WorldOptions, 'issuer'> = {}): Promise<ScriptedWorld> {
  const server = await startScriptedServer()
  const world = await startWorld({ ...options, issuer: server.issuer }).catch(async (error: unknown) => {
    await server.close()
    throw error
  })
  server.now = () => world.clock.nowSeconds()
  // Nobody here has a clock of their own, so limits can be judged to the second however slow the machine is.
  world.clock.stand()
  const closeWorld = world.close.bind(world)
  const start: ScriptedWorld['start'] = async (page, form = {}, subject) => {
    const answer = await page.call('POST', '/oauth-agent/login/start', { form })
    return server.authorize(String(answer.json()['authorization_url']), subject)
  }
  return Object.assign(world, {
    server,
    start,
    signIn: async (page: Page, form: Readonly<Record<string, string>> = {}, subject?: string) =>
      page.call('POST', '/oauth-agent/login/end', { form: await start(page, form, subject) }),
    async close() {
      await server.close()
      await closeWorld()
    },
  })
}
