import { type AddressInfo, createServer, type Server } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { freePort } from '../support/free-port.ts'
import { startProviderWorld } from '../support/provider-world.ts'
import { statusAndCode } from '../support/page.ts'
import { type Reply, type ScriptedWorld, startScriptedWorld } from '../support/scripted-authorization-server.ts'
import { startWorld, worldTimeoutMs } from '../support/world.ts'

let world: ScriptedWorld | undefined
afterEach(async () => {
  await world?.close()
  world = undefined
})

describe('an authorization server that is down (N01, FI-01)', () => {
  it('agent starts without it, says so, and recovers by itself', async () => {
    // It comes back there.
    const started = await startProviderWorld({ provider: { port: await freePort() } })
    await started.provider.goOffline()
    const page = started.browser()
    const start = () => page.call('POST', '/oauth-agent/login/start')
    const down = await start()
    expect([down.status, down.json()['error_code']]).toEqual([503, 'authorization_server_unavailable'])
    expect(down.json()['retry_after']).toBeGreaterThan(0)
    expect(down.headers['retry-after']).toBe(String(down.json()['retry_after']))
    expect((await page.call('GET', '/oauth-agent/session')).json()).toEqual({ is_logged_in: false })
    expect(started.told('provider.unavailable').at(0)?.fields).toEqual({
      endpoint: 'metadata',
      reason: 'connect_failed',
      code: 'ECONNREFUSED',
    })

    // However often it was asked in vain, it is asked again in less than five seconds.
    for (let i = 0; i < 9; i++) await start()
    await started.provider.goOnline()
    started.clock.pass(4.1)
    expect((await page.signIn()).status).toBe(200)
    await started.close()
  })

  it('signing out works without it, within its time limit (FI-22)', async () => {
    const started = await startScriptedWorld({ settings: 'logout: { revocation_timeout_ms: 300 }' })
    world = started
    const page = world.browser()
    await world.signIn(page)
    world.server.script.revocation = () => {
      started.clock.pass(0.3)
      return 'hang'
    }
    const answer = await page.call('POST', '/oauth-agent/logout')
    expect([answer.status, page.jar.names('localhost')]).toEqual([200, []])
    expect(world.told('logout.completed')[0]?.fields['revoked']).toBe(false)
    expect(world.told('provider.unavailable').map(({ fields }) => fields)).toEqual([
      expect.objectContaining({ endpoint: 'revocation', reason: 'timeout' }),
    ])
  })

  it.each([
    [200, true],
    [400, false],
  ])(
    'signing out revokes one token after the other (%i), since servers keep both in one record',
    async (status, revoked) => {
      world = await startScriptedWorld()
      const page = world.browser()
      await world.signIn(page)
      const log: string[] = []
      world.server.script.revocation = async (form) => {
        const hint = String(form.get('token_type_hint'))
        log.push(`${hint} begins`)
        await new Promise((resolve) => setImmediate(resolve))
        log.push(`${hint} ends`)
        return { status: hint === 'refresh_token' ? status : 200, body: '' }
      }
      expect((await page.call('POST', '/oauth-agent/logout')).status).toBe(200)
      const inTurn = ['refresh_token begins', 'refresh_token ends', 'access_token begins', 'access_token ends']
      expect(log).toEqual(inTurn)
      expect(world.told('logout.completed')[0]?.fields['revoked']).toBe(revoked)
    },
  )

  it.each([
    [{ status: 400, body: { error: 'unsupported_token_type' } }, { provider_error: 'unsupported_token_type' }],
    [{ status: 401, body: { error: 'invalid_client' } }, { provider_error: 'invalid_client' }],
    [{ status: 400, body: { error: 'words of the server' } }, { provider_error: 'other' }],
    [{ status: 400, body: '' }, { check: 'response_is_not_conform' }],
    [{ status: 503, body: '' }, { check: 'gateway_error' }],
  ])('signing out tells why nothing was revoked: %j (RFC 7009 §2.2.1)', async (reply, why) => {
    world = await startScriptedWorld()
    const page = world.browser()
    await world.signIn(page)
    world.server.script.revocation = (form) =>
      form.get('token_type_hint') === 'refresh_token' ? reply : { status: 200, body: '' }
    expect((await page.call('POST', '/oauth-agent/logout')).status).toBe(200)
    const { request_id, subject, session, ...told } = world.told('logout.completed')[0]?.fields ?? {}
    expect([request_id, subject, session]).not.toContain(undefined)
    expect(told).toEqual({ revoked: false, ...why })
  })

  it('signing out goes to our own page while nothing is known of the server', async () => {
    const alone = await startWorld({ issuer: 'http://127.0.0.1:1' })
    const answer = await alone.browser().call('POST', '/oauth-agent/logout')
    expect(answer.json()).toEqual({ logout_url: `${alone.publicOrigin}/` })
    await alone.close()
  })

  it.each<[string, Reply, string]>([
    ['are away', { status: 503, body: '' }, 'gateway_error'],
    ['are a page of a gateway', { headers: { 'content-type': 'text/html' }, body: '<html>' }, 'json'],
    ['are no list', { body: { keys: 'none' } }, 'keys'],
    ['are nowhere', { status: 404, body: '' }, 'status'],
  ])(
    'a sign-in while the keys %s uses no code, and the same response succeeds when they are back',
    async (_, reply, why) => {
      world = await startScriptedWorld()
      const { server, clock } = world
      const page = world.browser()
      const query = await world.start(page)
      const good = server.script.jwks
      server.script.jwks = () => reply
      const end = () => page.call('POST', '/oauth-agent/login/end', { form: query })
      const away = await end()
      expect([away.status, away.json()['error_code']]).toEqual([503, 'authorization_server_unavailable'])
      expect(away.json()['retry_after']).toBeGreaterThan(0)
      expect(world.told('login.failed').at(-1)?.fields['check']).toBe(why)
      expect(server.count('token')).toBe(0)
      server.script.jwks = good
      clock.pass(5)
      expect((await end()).status).toBe(200)
      expect([server.count('token'), server.count('jwks')]).toEqual([1, 2])
    },
  )

  it('a sign-in that ends where the metadata cannot be read uses no code either', async () => {
    world = await startScriptedWorld()
    const { server, clock } = world
    const page = world.browser()
    const query = await world.start(page)
    await world.restart(0)
    const good = server.script.metadata
    server.script.metadata = () => ({ body: 'oops' })
    const end = () => page.call('POST', '/oauth-agent/login/end', { form: query })
    expect(statusAndCode(await end())).toEqual([503, 'authorization_server_unavailable'])
    expect(server.count('token')).toBe(0)
    server.script.metadata = good
    clock.pass(5)
    expect((await end()).status).toBe(200)
  })

  it('a server that accepts and says nothing costs no more than the time limit', async () => {
    const silent: Server = createServer()
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
    const { port } = silent.address() as AddressInfo
    const alone = await startWorld({ issuer: `http://127.0.0.1:${port}` })
    silent.on('connection', () => alone.clock.pass(worldTimeoutMs / 1000))
    const answer = await alone.browser().call('POST', '/oauth-agent/login/start')
    expect(answer.json()['error_code']).toBe('authorization_server_unavailable')
    await alone.close()
    silent.close()
  })
})

describe('metadata (C13, C24, FI-10)', () => {
  const start = (scripted: ScriptedWorld) => scripted.browser().call('POST', '/oauth-agent/login/start')

  it.each<[string, (issuer: string) => Readonly<Record<string, unknown>>, string]>([
    ['another issuer', () => ({ issuer: 'https://evil.example' }), 'issuer'],
    ['the issuer with a slash more', (issuer) => ({ issuer: `${issuer}/` }), 'issuer'],
    ['the issuer in capitals', (issuer) => ({ issuer: issuer.toUpperCase() }), 'issuer'],
    ['PKCE without S256', () => ({ code_challenge_methods_supported: ['plain'] }), 'pkce'],
    ['PKCE by no method', () => ({ code_challenge_methods_supported: [] }), 'pkce'],
    ['a text for the list of PKCE methods', () => ({ code_challenge_methods_supported: 'S256' }), 'pkce'],
    ['no token endpoint', () => ({ token_endpoint: undefined }), 'token_endpoint'],
    [
      'a script as authorization endpoint',
      () => ({ authorization_endpoint: 'javascript:alert(1)' }),
      'authorization_endpoint',
    ],
  ])('with %s is refused, loudly (OID-17, C13)', async (_what, change, check) => {
    world = await startScriptedWorld()
    const good = world.server.script.metadata
    world.server.changeMetadata(change(world.server.issuer))
    const answer = await start(world)
    expect([answer.status, answer.json()['error_code']]).toEqual([502, 'authorization_server_error'])
    expect(world.told('provider.unavailable').at(-1)?.fields).toEqual({ endpoint: 'metadata', reason: check })
    world.server.script.metadata = good
    expect((await start(world)).status).toBe(200)
  })

  it('stays in use while its renewal fails, and is renewed when that works', async () => {
    world = await startScriptedWorld({ settings: '' })
    await start(world)
    const good = world.server.script.metadata
    world.server.script.metadata = () => ({ status: 503, body: '' })
    world.clock.pass(3601)
    expect((await start(world)).status).toBe(200)
    await expect.poll(() => world?.server.count('metadata')).toBe(2)
    expect((await start(world)).status).toBe(200)
    world.server.script.metadata = good
    world.clock.pass(11)
    await start(world)
    await expect.poll(() => world?.server.count('metadata')).toBe(3)
  })

  it('an end session endpoint that is a script is not handed to the page', async () => {
    world = await startScriptedWorld()
    world.server.changeMetadata({ end_session_endpoint: 'javascript:alert(1)' })
    const answer = await world.browser().call('POST', '/oauth-agent/logout')
    expect(answer.json()['logout_url']).toBe(`${world.publicOrigin}/`)
  })

  it('tells when the clocks differ (FI-10)', async () => {
    world = await startScriptedWorld()
    world.clock.pass(-120)
    await start(world)
    const [event] = world.told('provider.clock_skew')
    expect(Math.abs(Number(event?.fields['skew_seconds']) - 120)).toBeLessThan(5)
  })
})

describe('what a fault must not open (C24)', () => {
  it('nobody is signed in because metadata or keys are broken, and nobody is signed out', async () => {
    world = await startScriptedWorld()
    const inside = world.browser()
    await world.signIn(inside)
    world.clock.pass(3601)
    for (const broken of [
      { body: 'oops' },
      { body: { issuer: 'https://evil.example' } },
      'reset',
      { status: 500, body: '' },
    ] as const) {
      world.server.script.metadata = () => broken
      world.server.script.jwks = () => broken
      const outside = await world.browser().call('GET', '/oauth-agent/session')
      expect(outside.json()).toEqual({ is_logged_in: false })
      const garbage = await world
        .browser()
        .call('GET', '/oauth-agent/session', { headers: { cookie: '__Host-Http-th-at=AQ' } })
      expect(garbage.json()).toEqual({ is_logged_in: false })
    }
  })
})
