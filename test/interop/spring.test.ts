import { generateKeyPairSync } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freePort } from '../support/free-port.ts'
import { type InteropWorld, json, startInterop } from '../support/interop.ts'
import { type Spring, startSpring } from '../support/spring.ts'
import { type Browser, createBrowser } from '../support/topology/browser.ts'

const alice = { subject: 'alice', username: 'alice', password: 'a long password' }

const stops: (() => unknown)[] = []
let spring: Spring
let origin: string
let world: InteropWorld

beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'token-handler-interop-'))
  stops.push(() => rm(folder, { recursive: true, force: true }))
  const [port, operationsPort] = [await freePort(), await freePort()]
  origin = `http://localhost:${port}`
  spring = await startSpring({ publicOrigin: origin, clientId: 'example-app', person: alice })
  stops.push(() => spring.stop())
  const clientKey = join(folder, 'client-key.pem')
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  writeFileSync(clientKey, privateKey.export({ type: 'pkcs8', format: 'pem' }))
  world = await startInterop({
    folder,
    port,
    operationsPort,
    settings: {
      authorization_server: { issuer: spring.issuer },
      client: {
        id: 'example-app',
        authentication: 'private_key_jwt',
        private_key_file: clientKey,
        typed_assertion: false,
      },
      login: { scope: 'openid profile' },
    },
    routes: (upstream) => [{ path: '/api/mine', upstream }],
  })
  stops.push(() => world.stop())
})

afterAll(async () => {
  for (const stop of stops.reverse()) await stop()
})

const signedIn = () => world.signedIn(alice)
const session = (browser: Browser) => world.session(browser)
const refresh = (browser: Browser) => browser.fetch('POST', '/oauth-agent/refresh', undefined)

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
      const answers = await Promise.all(Array.from({ length: 20 }, () => refresh(browser)))
      expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200))
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
