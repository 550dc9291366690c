import { execFileSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { stringify } from 'yaml'
import { freePort } from '../support/free-port.ts'
import { type Spring, startSpring } from '../support/spring.ts'
import type { ApiLedger } from '../support/topology/api.ts'
import { type Answer, type Browser, createBrowser } from '../support/topology/browser.ts'
import { type Replica, startAsked, startReplica } from '../support/topology/processes.ts'

const alice = { subject: 'alice', username: 'alice', password: 'a long password' }

const stops: (() => unknown)[] = []
let spring: Spring
let origin: string
let tokenHandler: Replica

beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'token-handler-interop-'))
  stops.push(() => rm(folder, { recursive: true, force: true }))
  const [port, operationsPort] = [await freePort(), await freePort()]
  origin = `http://localhost:${port}`
  spring = await startSpring({ publicOrigin: origin, clientId: 'example-app', person: alice })
  stops.push(() => spring.stop())
  const api = await startAsked<ApiLedger>('api')
  stops.push(() => api.stop())

  const [keys, clientKey] = [join(folder, 'keys.json'), join(folder, 'client-key.pem')]
  execFileSync(process.execPath, ['bin/token-handler.ts', 'keys', 'generate', keys])
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  writeFileSync(clientKey, privateKey.export({ type: 'pkcs8', format: 'pem' }))
  const config = join(folder, 'token-handler.yaml')
  writeFileSync(
    config,
    stringify({
      public_origin: origin,
      insecure_allow_http: true,
      authorization_server: { issuer: spring.issuer },
      client: {
        id: 'example-app',
        authentication: 'private_key_jwt',
        private_key_file: clientKey,
        typed_assertion: false,
      },
      login: { scope: 'openid profile' },
      cookies: { id_token_hint: true },
      keys: { file: keys },
      proxy: {
        listen: { host: '127.0.0.1', port },
        routes: [{ path: '/api/mine', upstream: `http://127.0.0.1:${api.port}` }],
      },
      operations: { listen: { host: '127.0.0.1', port: operationsPort }, shutdown_wait_seconds: 0 },
      observability: { log_level: 'warn' },
    }),
  )
  tokenHandler = await startReplica({ mode: 'serve', config, port, operationsPort, log: join(folder, 'log') })
  stops.push(() => tokenHandler.stop())
})

afterAll(async () => {
  for (const stop of stops.reverse()) await stop()
})

const json = ({ text }: Answer) => JSON.parse(text)
async function signedIn(): Promise<Browser> {
  const browser = createBrowser(origin, alice)
  await browser.signIn()
  return browser
}
const session = async (browser: Browser) => json(await browser.fetch('GET', '/oauth-agent/session'))
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
    await tokenHandler.restart()
    expect(json(await refresh(before))).toMatchObject({ error_code: 'session_expired' })
  })
})
