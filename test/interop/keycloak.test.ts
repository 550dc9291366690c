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
import { keycloakRealm, ordersApi, passwordLevel, secondLevel } from '../support/keycloak-realm.ts'
import { type Keycloak, startKeycloak } from '../support/keycloak.ts'
import type { Browser } from '../support/topology/browser.ts'
import { testBoundTokens } from './bound-tokens.ts'

const alice = { subject: '8d3c5f0e-6d0f-4a53-9d0c-0d7b6f1f8a11', username: 'alice', password: 'a long password' }
/** Has no session but the one of a single test. */
const bob = { subject: '0b2f7a52-2f0b-4a7b-8f55-6a1f3f2f9c22', username: 'bob', password: 'another long password' }
const clientSecret = 'the secret of this client at Keycloak'

const stops: (() => unknown)[] = []
let keycloak: Keycloak
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
  const boundOrigin = `http://localhost:${boundPort}`
  keycloak = await startKeycloak(
    keycloakRealm({ publicOrigin: origin, boundOrigin, clientSecret, people: [alice, bob] }),
  )
  stops.push(() => keycloak.stop())
  world = await startInterop({
    folder,
    port,
    operationsPort,
    settings: {
      authorization_server: { issuer: `${keycloak.origin}/realms/example` },
      client: { id: 'example-app', authentication: 'client_secret_basic', secret: clientSecret },
      login: { scope: 'openid profile email' },
      logout: { backchannel: true },
    },
    routes: (upstream) => [
      { path: '/api/mine', upstream },
      { path: '/api/orders', upstream, credential: { kind: 'exchange', audience: ordersApi } },
      { path: '/api/transfers', upstream, require: { acr: [secondLevel] } },
    ],
  })
  stops.push(() => world.stop())
  boundApi = await startDpopApi()
  stops.push(() => boundApi.close())
  boundApi.trust(await jwksOf(`${keycloak.origin}/realms/example/protocol/openid-connect/certs`))
  bound = await startInterop({
    folder: join(folder, 'bound'),
    port: boundPort,
    operationsPort: boundOperationsPort,
    settings: {
      authorization_server: { issuer: `${keycloak.origin}/realms/example` },
      client: {
        id: 'bound-app',
        authentication: 'client_secret_basic',
        secret: clientSecret,
        dpop_bound_access_tokens: true,
      },
      login: { scope: 'openid profile email' },
    },
    routes: () => [
      { path: '/api/mine', methods: ['GET', 'POST'], upstream: boundApi.origin },
      { path: '/api/orders', upstream: boundApi.origin, credential: { kind: 'exchange', audience: ordersApi } },
      { path: '/api/own', upstream: boundApi.origin, credential: { kind: 'client_credentials' } },
      // Keycloak itself as an API that checks proofs.
      {
        path: '/api/userinfo',
        upstream: keycloak.origin,
        strip_prefix: '/api',
        add_prefix: '/realms/example/protocol/openid-connect',
      },
    ],
  })
  stops.push(() => bound.stop())
})

afterAll(async () => {
  for (const stop of stops.reverse()) await stop()
})

const signedIn = (person = alice) => world.signedIn(person)
const session = (browser: Browser) => world.session(browser)

describe('Keycloak', () => {
  it('signs in, and the API sees the user', async () => {
    const browser = await signedIn()
    expect(await session(browser)).toMatchObject({
      is_logged_in: true,
      id_token_claims: { sub: alice.subject, preferred_username: 'alice' },
      session: { generation: 1 },
    })
    expect(json(await browser.fetch('GET', '/api/mine'))).toMatchObject({
      subject: alice.subject,
      party: 'example-app',
    })
    expect(json(await browser.fetch('GET', '/oauth-agent/userinfo'))).toMatchObject({ sub: alice.subject })
  })

  it('refreshes with rotation and reuse detection, twenty tabs at once and again and again', async () => {
    const browser = await signedIn()
    for (const generation of [2, 3, 4]) {
      expect(await refreshInTwentyTabs(browser)).toEqual(twentyTimesOk)
      expect((await session(browser)).session.generation).toBe(generation)
    }
    expect((await browser.fetch('GET', '/api/mine')).status).toBe(200)
  })

  it('exchanges the token for one that is good for a single API', async () => {
    const browser = await signedIn()
    expect(json(await browser.fetch('GET', '/api/mine')).audience).toContain('payments-api')
    const exchanged = await browser.fetch('GET', '/api/orders')
    expect(json(exchanged)).toMatchObject({ subject: alice.subject, audience: ordersApi })
  })

  it('steps up when a route asks for more, and not before', async () => {
    const browser = await signedIn()
    expect((await session(browser)).session.acr).toBe(passwordLevel)
    const refused = await browser.fetch('GET', '/api/transfers')
    expect(refused.status).toBe(401)
    expect(json(refused)).toMatchObject({ error_code: 'insufficient_user_authentication', acr_values: secondLevel })
    await browser.signIn({ acr_values: secondLevel })
    expect((await session(browser)).session.acr).toBe(secondLevel)
    expect((await browser.fetch('GET', '/api/transfers')).status).toBe(200)
  })

  it('back-channel logout ends the session here', async () => {
    const browser = await signedIn(bob)
    await keycloak.signOutUser('example', bob.subject)
    await expect.poll(async () => (await session(browser)).is_logged_in, { timeout: 30_000 }).toBe(false)
    expect((await browser.fetch('GET', '/api/mine')).status).toBe(401)
  })

  it('signs out there and here', async () => {
    const browser = await signedIn()
    const answer = json(await browser.fetch('POST', '/oauth-agent/logout', undefined))
    const url = new URL(answer.logout_url)
    expect(url.origin).toBe(keycloak.origin)
    expect(url.searchParams.get('post_logout_redirect_uri')).toBe(`${origin}/`)
    const left = await fetch(url, { redirect: 'manual' })
    expect(left.status).toBe(302)
    expect((await session(browser)).is_logged_in).toBe(false)
  })
})

describe('Keycloak with tokens that are bound to a key', () => {
  testBoundTokens(() => ({
    world: bound,
    api: boundApi,
    person: alice,
    userinfoEndpoint: `${keycloak.origin}/realms/example/protocol/openid-connect/userinfo`,
    claims: expect.objectContaining({ sub: alice.subject }),
  }))

  it('binds exchanged tokens and those of the application', async () => {
    const browser = await bound.signedIn(alice)
    expect((await browser.fetch('GET', '/api/orders')).text).toBe('{"verdict":"ok","body":""}')
    expect((await browser.fetch('GET', '/api/own')).text).toBe('{"verdict":"ok","body":""}')
  })

  it('keeps the session where it alone demands proofs', async () => {
    const browser = await bound.signedIn(alice)
    await bound.bindTokens(false)
    expect((await browser.fetch('GET', '/api/mine')).status).toBe(401)
    const refused = await refresh(browser)
    expect([refused.status, json(refused).error_code]).toEqual([502, 'authorization_server_error'])
    await bound.bindTokens(true)
    expect((await refresh(browser)).status).toBe(200)
    expect((await browser.fetch('GET', '/api/mine')).status).toBe(200)
  })
})
