import { generateKeyPairSync } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type DpopApi, startDpopApi } from '../support/dpop-api.ts'
import { freePort } from '../support/free-port.ts'
import {
  type InteropWorld,
  json,
  jwksOf,
  refresh,
  refreshInTwentyTabs,
  startInterop,
  twentyTimesOk,
} from '../support/interop.ts'
import { type Spring, startSpring } from '../support/spring.ts'
import { type Browser, createBrowser } from '../support/topology/browser.ts'
import { testBoundTokens } from './bound-tokens.ts'

const alice = { subject: 'alice', username: 'alice', password: 'a long password' }

const stops: (() => unknown)[] = []
let spring: Spring
let origin: string
let world: InteropWorld
/** The program once more, with tokens that are bound to a key, and the API that takes no others. */
let bound: InteropWorld
let boundApi: DpopApi

beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'token-handler-interop-'))
  stops.push(() => rm(folder, { recursive: true, force: true }))
  const [port, operationsPort] = [await freePort(), await freePort()]
  const [boundPort, boundOperationsPort] = [await freePort(), await freePort()]
  origin = `http://localhost:${port}`
  spring = await startSpring({
    clients: [
      { clientId: 'example-app', publicOrigin: origin },
      { clientId: 'bound-app', publicOrigin: `http://localhost:${boundPort}` },
    ],
    person: alice,
  })
  stops.push(() => spring.stop())
  const clientKey = join(folder, 'client-key.pem')
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  writeFileSync(clientKey, privateKey.export({ type: 'pkcs8', format: 'pem' }))
  const client = (id: string) => ({
    id,
    authentication: 'private_key_jwt',
    private_key_file: clientKey,
    typed_assertion: false,
  })
  world = await startInterop({
    folder,
    port,
    operationsPort,
    settings: {
      authorization_server: { issuer: spring.issuer },
      client: client('example-app'),
      login: { scope: 'openid profile' },
    },
    routes: (upstream) => [{ path: '/api/mine', upstream }],
  })
  stops.push(() => world.stop())
  boundApi = await startDpopApi()
  stops.push(() => boundApi.close())
  boundApi.trust(await jwksOf(`${spring.issuer}/oauth2/jwks`))
  bound = await startInterop({
    folder: join(folder, 'bound'),
    port: boundPort,
    operationsPort: boundOperationsPort,
    settings: {
      authorization_server: { issuer: spring.issuer },
      client: { ...client('bound-app'), dpop_bound_access_tokens: true },
      login: { scope: 'openid profile' },
    },
    routes: () => [
      { path: '/api/mine', methods: ['GET', 'POST'], upstream: boundApi.origin },
      // A resource server of Spring Security, which checks proofs.
      { path: '/api/userinfo', upstream: spring.issuer, strip_prefix: '/api' },
    ],
  })
  stops.push(() => bound.stop())
})

afterAll(async () => {
  for (const stop of stops.reverse()) await stop()
})

const signedIn = () => world.signedIn(alice)
const session = (browser: Browser) => world.session(browser)

describe('Spring Authorization Server', () => {
  it('signs in with a key that it fetches here, and the API sees the user', async () => {
    const browser = await signedIn()
    expect(await session(browser)).toMatchObject({ is_logged_in: true, id_token_claims: { sub: 'alice' } })
    expect(json(await browser.fetch('GET', '/api/mine'))).toMatchObject({ subject: 'alice', audience: 'example-app' })
    expect(json(await browser.fetch('GET', '/oauth-agent/userinfo'))).toEqual({ sub: 'alice' })
  })

  it('refreshes with rotation, twenty tabs at once and again and again', async () => {
    const browser = await signedIn()
    for (const generation of [2, 3, 4]) {
      expect(await refreshInTwentyTabs(browser)).toEqual(twentyTimesOk)
      expect((await session(browser)).session.generation).toBe(generation)
    }
  })

  it('a silent sign-in of nobody is refused, of somebody it is not', async () => {
    const stranger = createBrowser(origin, alice)
    await expect(stranger.signIn({ prompt: 'none' })).rejects.toThrow('login_required')
    const browser = await signedIn()
    await browser.signIn({ prompt: 'none' })
    expect((await session(browser)).is_logged_in).toBe(true)
  })

  it('signs out there and here, and the refresh token is of no use any more', async () => {
    const browser = await signedIn()
    const before = browser.copy()
    const url = new URL(json(await browser.fetch('POST', '/oauth-agent/logout', undefined)).logout_url)
    // Without the ID token there is no sign-out at this server, but an error page.
    const cookie = browser.jar.header(url.host, url.pathname, 'same-site') ?? ''
    const left = await fetch(url, { redirect: 'manual', headers: { cookie } })
    expect([left.status, left.headers.get('location')?.split('?')[0]]).toEqual([302, `${origin}/`])
    expect((await session(browser)).is_logged_in).toBe(false)
    // Another process of the agent would not know of the sign-out, but the server does.
    await world.tokenHandler.restart()
    expect(json(await refresh(before))).toMatchObject({ error_code: 'session_expired' })
  })
})

describe('Spring Authorization Server with tokens that are bound to a key', () => {
  testBoundTokens(() => ({
    world: bound,
    api: boundApi,
    person: alice,
    userinfoEndpoint: `${spring.issuer}/userinfo`,
    claims: { sub: 'alice' },
  }))

  it('signs nobody out when it is switched off and on again', async () => {
    const browser = await bound.signedIn(alice)
    for (const isBound of [false, true]) {
      await bound.bindTokens(isBound)
      expect(json(await browser.fetch('GET', '/api/mine'))).toMatchObject({ error_code: 'access_token_expired' })
      expect((await refresh(browser)).status).toBe(200)
      const verdicts = isBound ? ['ok'] : ['proof_count']
      const called = boundApi.calls.length
      await browser.fetch('GET', '/api/mine')
      expect(boundApi.calls.slice(called).map(({ verdict }) => verdict)).toEqual(verdicts)
    }
  })
})
