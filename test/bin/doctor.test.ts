import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { type AddressInfo, createServer as createNetServer, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { decodeProtectedHeader } from 'jose'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { certificateChecks } from '../../bin/doctor/certificate-checks.ts'
import { examine } from '../../bin/doctor/doctor.ts'
import { type Finding, findingsText } from '../../bin/doctor/finding.ts'
import { keyChecks, readersFinding } from '../../bin/doctor/key-checks.ts'
import { keySetCheck } from '../../bin/doctor/key-set-check.ts'
import { providerChecks } from '../../bin/doctor/provider-checks.ts'
import type { Mode } from '../../bin/parts.ts'
import { type Clock, systemClock } from '../../shared/clock.ts'
import { createDpopKeys } from '../../shared/crypto/dpop-keys.ts'
import { deriveKeyRing, generateKeyRing } from '../../shared/crypto/key-ring-edit.ts'
import { formatKeyRingFile } from '../../shared/crypto/key-ring-file.ts'
import { ProviderAnswerInvalid, ProviderUnavailable } from '../../shared/oauth/provider-error.ts'
import { fixedKeys, parseKeyRing, proofPurposes, proxyPurposes } from '../../shared/crypto/key-ring.ts'
import { systemRandomBytes } from '../../shared/crypto/random.ts'
import { bindingOf } from '../../shared/crypto/seal.ts'
import { TunnelFailure } from '../../shared/oauth/tunnel.ts'
import { type OpenIdProvider, startOpenIdProvider } from '../../spa-example/openid-provider.ts'
import { allOf } from '../support/checked-server.ts'
import { createCertificate } from '../support/certificate.ts'
import { type ConnectProxy, type ProxyAnswer, startConnectProxy } from '../support/connect-proxy.ts'
import { freePort } from '../support/free-port.ts'
import { testKeys } from '../support/installation.ts'
import { createManualClock } from '../support/manual-clock.ts'
import { startProxy } from '../support/proxy-world.ts'
import { startUpstream } from '../support/upstream.ts'
import { startScriptedServer } from '../support/scripted-authorization-server.ts'
import { parse, settingsFile } from '../shared/config/settings.ts'

const secret = 'a-secret-of-forty-characters-or-very-near'
const registration = {
  client_id: 'app',
  client_secret: secret,
  redirect_uris: ['http://localhost:3000/callback'],
  post_logout_redirect_uris: ['http://localhost:3000/'],
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code'],
}
let provider: OpenIdProvider
let folder: string
let api: ReturnType<typeof createServer>
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'doctor-'))
  const ring = generateKeyRing({ random: systemRandomBytes, clock: systemClock })
  writeFileSync(join(folder, 'keys.json'), formatKeyRingFile(ring), { mode: 0o600 })
  api = createServer()
  await new Promise<void>((resolve) => api.listen(0, '127.0.0.1', resolve))
  provider = await startOpenIdProvider({
    clients: [registration],
  })
}, 60_000)
afterAll(async () => {
  await provider.close()
  api.close()
  rmSync(folder, { recursive: true })
})

const answer = (status: number, headers: Record<string, string>): typeof fetch => {
  return () => Promise.resolve(new Response('{}', { status, headers }))
}
/** The agent's answer, and the proxy's to who is no page of ours. */
const goodAnswer: typeof fetch = (input) => {
  const isAgent = String(input).endsWith('/session')
  const refusal: Record<string, string> = isAgent ? {} : { 'token-handler-error': 'header_missing' }
  return answer(isAgent ? 200 : 403, { 'content-type': 'application/json', ...refusal })(input)
}

/** A gateway that reaches the agent, and fails so for everything else. */
function onlyAgent(failure: Error): typeof fetch {
  return (input) => (String(input).endsWith('/session') ? goodAnswer(input) : Promise.reject(failure))
}

interface Change {
  readonly settings?: Record<string, unknown>
  readonly clock?: Clock
  readonly fetch?: typeof fetch | undefined
  readonly mode?: Mode
}

async function look(change: Change = {}): Promise<Finding[]> {
  const { settings = {}, clock, fetch, mode } = { clock: systemClock, fetch: goodAnswer, ...change }
  const text = settingsFile({
    public_origin: 'http://localhost:3000',
    insecure_allow_http: true,
    authorization_server: { issuer: provider.issuer },
    client: { secret },
    keys: { file: join(folder, 'keys.json') },
    proxy: { routes: [{ path: '/api/**', upstream: `http://127.0.0.1:${(api.address() as AddressInfo).port}` }] },
    ...settings,
  })
  const config = parse(text, { readFile: (path) => readFileSync(path, 'utf8') })
  return examine({ config, clock, fetch, mode, userId: process.getuid?.() })
}

const unpushed = { pushed_authorization_requests: 'never' }
const levelOf = (findings: readonly Finding[], check: string) =>
  findings.find((finding) => finding.check === check)?.level

describe('doctor', () => {
  it('finds nothing wrong where nothing is', async () => {
    const findings = await look()
    expect(findings.filter(({ level }) => level === 'error')).toEqual([])
    for (const check of ['discovery', 'pkce', 'client_authentication', 'id_token_algorithms', 'iss', 'keys', 'clock']) {
      expect(levelOf(findings, `provider.${check}`), check).toBe('ok')
    }
    for (const check of [
      'client.accepted',
      'client.redirect_uri',
      'client.post_logout_redirect_uri',
      'cookies.header_budget',
      'cookies.round_trip',
      'routes.round_trip',
      'upstream',
      'store',
      'keys.file',
      'keys.age',
    ]) {
      expect(levelOf(findings, check), check).toBe('ok')
    }
    expect(levelOf(findings, 'provider.rotation')).toBe('skipped')
  })

  it('asks for a path of each route, but not for an agent, so that no API hears of it, whoever may call it', async () => {
    const upstream = await startUpstream()
    const routes = [
      { path: '/api/**', anonymous: 'none', credential: { kind: 'none' } },
      { path: '/api/*/lines', methods: ['POST'] },
      { path: '/orders' },
    ]
    const settings = { proxy: { routes: routes.map((route) => ({ ...route, upstream: upstream.origin })) } }
    const world = await startProxy(settings.proxy.routes.map((route) => `    - ${JSON.stringify(route)}`).join('\n'))
    // As `fetch` of Node sends it.
    const lines = ['Accept: */*', 'Accept-Language: *', 'Sec-Fetch-Mode: cors', 'User-Agent: node']
    const asked: string[] = []
    const fetch: typeof globalThis.fetch = async (input, init) => {
      const { pathname } = new URL(String(input))
      if (pathname.endsWith('/session')) return goodAnswer(input, init)
      asked.push(pathname)
      const { status, header } = await world.call('GET', pathname, { lines })
      return new Response('{}', { status, headers: { 'token-handler-error': header('token-handler-error') ?? 'none' } })
    }
    const findings = await look({ settings, fetch })
    await look({ settings, fetch, mode: 'agent' })
    const found = findings.filter(({ check }) => check === 'routes.round_trip').map(({ level }) => level)
    expect([asked, found]).toEqual([
      ['/api/doctor', '/api/doctor/lines', '/orders'],
      ['ok', 'ok', 'ok'],
    ])
    expect(upstream.seen).toEqual([])
    await world.close()
    await upstream.close()
  })

  it.each<[string, (failure: Error) => typeof fetch]>([
    ['silent for everything', (failure) => () => Promise.reject(failure)],
    ['silent for APIs', onlyAgent],
  ])('asks a gateway that is %s for one route only, since each costs the whole time limit', async (_, silent) => {
    const routes = ['/a', '/b', '/c'].map((path) => ({ path, upstream: 'http://127.0.0.1:9' }))
    const fetch = silent(new DOMException('too late', 'TimeoutError'))
    const findings = await look({ settings: { proxy: { routes } }, fetch })
    expect(findings.filter(({ check }) => check === 'routes.round_trip')).toHaveLength(1)
  })

  it.each<[string, object]>([
    ['without routes', {}],
    ['with an API that is not there', { routes: [{ path: '/a', upstream: 'http://127.0.0.1:9' }] }],
  ])('asks no agent for APIs: %s', async (_, proxy) => {
    const findings = await look({ settings: { proxy }, mode: 'agent' })
    expect(levelOf(findings, 'upstream')).toBeUndefined()
  })

  describe('for a proxy', () => {
    const ask = async (route: object, settings: object = {}) => {
      const upstream = `http://127.0.0.1:${(api.address() as AddressInfo).port}`
      const findings = await look({
        settings: { ...settings, proxy: { routes: [{ path: '/api/**', upstream, ...route }] } },
        mode: 'proxy',
      })
      return findings.filter(({ check }) => /^(?:provider|client)/.test(check))
    }
    const away = { authorization_server: { issuer: 'http://127.0.0.1:9' } }

    it.each<[string, object]>([
      ['the token of the user', {}],
      ['nothing', { credential: { kind: 'none' } }],
    ])('asks no authorization server where its APIs get %s', async (_, route) => {
      expect(await ask(route, away)).toEqual([
        {
          level: 'skipped',
          check: 'provider',
          found: 'not asked: no route of this proxy needs tokens of the authorization server',
        },
      ])
    })

    it.each<[string, object]>([
      ['exchanged tokens', { credential: { kind: 'exchange', audience: 'https://a.test' } }],
      ['tokens of the app', { credential: { kind: 'client_credentials' } }],
      ['tokens of the app for visitors', { anonymous: 'client_credentials' }],
    ])('asks it where they get %s', async (_, route) => {
      expect(levelOf(await ask(route, away), 'provider.discovery')).toBe('error')
      const findings = await ask(route)
      expect(levelOf(findings, 'client.accepted')).toBe('ok')
      expect(findings.map(({ check }) => check)).not.toContain('client.redirect_uri')
    })
  })

  it.each<[string, Change, string, Finding['level'], string]>([
    ['a wrong secret', { settings: { client: { secret: 'wrong' } } }, 'client.accepted', 'error', 'invalid_client'],
    [
      'an unknown client',
      { settings: { client: { id: 'nobody', secret } } },
      'client.accepted',
      'error',
      'invalid_client',
    ],
    [
      'an authorization server that is not there',
      { settings: { authorization_server: { issuer: 'http://127.0.0.1:9' } } },
      'provider.discovery',
      'error',
      'connect_failed',
    ],
    [
      'no common algorithm',
      { settings: { authorization_server: { issuer: '', id_token_algorithms: ['ES512'] } } },
      'provider.id_token_algorithms',
      'error',
      'both sides',
    ],
    [
      'a redirect URI that is not registered',
      { settings: { login: { ...unpushed, redirect_path: '/elsewhere' } } },
      'client.redirect_uri',
      'error',
      'http://localhost:3000/elsewhere is refused (400)',
    ],
    [
      'a page after sign-out that is not registered',
      { settings: { logout: { return_path: '/elsewhere' } } },
      'client.post_logout_redirect_uri',
      'warning',
      'http://localhost:3000/elsewhere is refused (400)',
    ],
    [
      'a pushed request that is refused',
      { settings: { login: { redirect_path: '/elsewhere', pushed_authorization_requests: 'always' } } },
      'client.redirect_uri',
      'error',
      'cannot be started',
    ],
    [
      'a sign-in that comes back refused',
      { settings: { login: { ...unpushed, extra_parameters: { id_token_hint: 'x' } } } },
      'client.redirect_uri',
      'error',
      'with the error invalid_request',
    ],
    [
      'a sign-in that comes back refused in a signed response',
      { settings: { login: { ...unpushed, response_mode: 'jwt', extra_parameters: { id_token_hint: 'x' } } } },
      'client.redirect_uri',
      'error',
      'with the error invalid_request',
    ],
    [
      'a signed response whose algorithm is not accepted',
      {
        settings: {
          authorization_server: { issuer: '', id_token_algorithms: ['ES512'] },
          login: { ...unpushed, response_mode: 'jwt' },
        },
      },
      'client.redirect_uri',
      'error',
      'fails its checks',
    ],
    [
      'nothing where a signed response says only that nobody is signed in',
      { settings: { login: { ...unpushed, response_mode: 'jwt' } } },
      'client.redirect_uri',
      'ok',
      'sign-ins return',
    ],
    ['an unknown scope', { settings: { login: { scope: 'openid profil' } } }, 'provider.scope', 'warning', 'profil'],
    [
      'one token for several APIs (BBA-26)',
      { settings: { login: { resource: ['https://a.test', 'https://b.test'] } } },
      'login.resource',
      'warning',
      'several APIs',
    ],
    [
      'an API that is not there',
      { settings: { proxy: { routes: [{ path: '/a', upstream: 'http://127.0.0.1:9' }] } } },
      'upstream',
      'error',
      'ECONNREFUSED',
    ],
    ['a proxy without any API', { settings: { proxy: {} } }, 'settings', 'warning', 'lists no API'],
    [
      'scopes with a comma',
      { settings: { login: { scope: 'openid profile,email' } } },
      'settings',
      'warning',
      'profile,email for one scope',
    ],
    [
      'cookies too large for gateways',
      { settings: { cookies: { max_total_bytes: 10_000 } } },
      'cookies.header_budget',
      'warning',
      'nginx',
    ],
    ['several workers without a store', { settings: { operations: { workers: 4 } } }, 'store', 'warning', 'workers'],
    [
      'everybody sees metrics',
      { settings: { operations: { listen: { host: '0.0.0.0' } } } },
      'operations.listen',
      'warning',
      'metrics',
    ],
    [
      'very many believed addresses',
      { settings: { operations: { trusted_proxies: ['10.0.0.0/7'] } } },
      'operations.trusted_proxies',
      'warning',
      '10.0.0.0/7',
    ],
    [
      'a gateway that keeps the paths of APIs for the files of the app',
      { fetch: answer(200, { 'content-type': 'text/html' }) },
      'routes.round_trip',
      'error',
      'http://localhost:3000/api/doctor answered 200, but not by the proxy',
    ],
    ...(
      [
        ['changes the paths of APIs, or sends them to the agent', 404, 'route_not_found', '(route_not_found)'],
        ['changes the Host of calls', 421, 'host_not_allowed', 'changes the Host header'],
        ['asks for decisions unknown to the proxy', 403, 'untrusted_peer', '(untrusted_peer)'],
      ] as const
    ).map(([which, status, code, words]): [string, Change, string, Finding['level'], string] => [
      `a gateway that ${which}`,
      { fetch: answer(status, { 'content-type': 'application/json', 'token-handler-error': code }) },
      'routes.round_trip',
      'error',
      words,
    ]),
    ...(
      [
        ['a gateway that does not reach the proxy', 503, {}],
        ['an API that is open to the gateway', 401, {}],
        ['somebody else who has such a header', 403, { 'token-handler-error': 'do-not-show' }],
      ] as const
    ).map(([who, status, headers]): [string, Change, string, Finding['level'], string] => [
      who,
      { fetch: answer(status, { 'content-type': 'application/json', ...headers }) },
      'routes.round_trip',
      'error',
      `answered ${status}, but not by the proxy`,
    ]),
    [
      'paths of APIs on which the gateway keeps silent',
      { fetch: onlyAgent(new DOMException('do-not-show', 'TimeoutError')) },
      'routes.round_trip',
      'error',
      'http://localhost:3000/api/doctor gives no answer (timeout)',
    ],
    [
      'paths of APIs that cannot be tried from here',
      { fetch: () => Promise.reject(new TypeError('do-not-show')) },
      'routes.round_trip',
      'skipped',
      'http://localhost:3000/api/doctor',
    ],
    ['a gateway that limits headers', { fetch: answer(431, {}) }, 'cookies.round_trip', 'error', '431'],
    [
      'a gateway that changes Host',
      { fetch: answer(421, { 'token-handler-error': 'host_not_allowed' }) },
      'cookies.round_trip',
      'error',
      'Host',
    ],
    ...[
      [
        new TypeError('do-not-show', { cause: Object.assign(new Error(), { code: 'ENOTFOUND' }) }),
        ' (ENOTFOUND)',
      ] as const,
      [new DOMException('do-not-show', 'TimeoutError'), ' (timeout)'] as const,
      [new TypeError('do-not-show'), 'from here'] as const,
    ].map(([failure, words]): [string, Change, string, Finding['level'], string] => [
      `a public origin out of reach${words}`,
      { fetch: () => Promise.reject(failure) },
      'cookies.round_trip',
      'error',
      `http://localhost:3000 cannot be reached from here${words === 'from here' ? '' : words}`,
    ]),
    ['a public origin that is not to be tried', { fetch: undefined }, 'cookies.round_trip', 'skipped', '--offline'],
    ['a clock that is behind', { clock: shifted(-600) }, 'provider.clock', 'warning', 'ahead'],
    ['an old key', { clock: shifted(100 * 86_400) }, 'keys.age', 'warning', '100 days'],
  ])('tells of %s', async (_, change, check, level, words) => {
    const settings = { ...change.settings }
    const server = settings['authorization_server']
    if (typeof server === 'object' && server !== null && 'issuer' in server && server.issuer === '') {
      settings['authorization_server'] = { ...server, issuer: provider.issuer }
    }
    const findings = await look({ ...change, settings })
    const finding = findings.find((each) => each.check === check)
    expect(finding).toMatchObject({ level, found: expect.stringContaining(words) as string })
    if (level === 'error' || level === 'warning') expect(finding?.remedy?.length).toBeGreaterThan(8)
    expect(JSON.stringify(findings)).not.toContain(secret)
  })

  it('says where it looked for metadata when there is none', async () => {
    const issuer = `${provider.issuer}/realms/wrong`
    const [finding] = await look({ settings: { authorization_server: { issuer } } })
    expect(finding).toMatchObject({
      level: 'error',
      check: 'provider.discovery',
      found: `the metadata document at ${issuer}/.well-known/openid-configuration cannot be used (response_is_not_conform)`,
      remedy: expect.stringContaining('Copy the issuer') as string,
    })
  })

  it.each(['authorization_endpoint', 'token_endpoint', 'jwks_uri', 'pkce'])(
    'names the member of metadata that cannot be used: %s',
    async (check) => {
      const server = { metadata: () => Promise.reject(new ProviderAnswerInvalid('metadata', check)) }
      const member = check === 'pkce' ? 'code_challenge_methods_supported' : check
      for await (const finding of providerChecks(parse(settingsFile()), server)) {
        expect(finding).toMatchObject({
          level: 'error',
          remedy: expect.stringContaining(`look at ${member}`) as string,
        })
      }
      expect.assertions(1)
    },
  )

  it.each([
    ['server_error', 'look at its log'],
    ['gateway_error', 'its gateway'],
    ['rate_limited', 'raise its limit'],
    ['connect_failed', 'name resolution'],
  ] as const)('sends nobody to the network where something answered: %s', async (reason, words) => {
    const server = { metadata: () => Promise.reject(new ProviderUnavailable('metadata', reason, 1)) }
    for await (const finding of providerChecks(parse(settingsFile()), server)) {
      expect(finding).toMatchObject({ level: 'error', remedy: expect.stringContaining(words) as string })
    }
    expect.assertions(1)
  })

  it('reports an issuer that is spelled differently', async () => {
    const findings = await look({ settings: { authorization_server: { issuer: `${provider.issuer}/` } } })
    expect(findings[0]).toMatchObject({ level: 'error', check: 'provider.issuer' })
  })

  it('reports metadata whose issuer is no URL', async () => {
    const server = await startScriptedServer()
    server.changeMetadata({ issuer: 'login.example.com' })
    const [finding] = await look({ settings: { authorization_server: { issuer: server.issuer } } })
    await server.close()
    expect(finding).toMatchObject({
      level: 'error',
      check: 'provider.issuer',
      found: 'the metadata document names an issuer that is no URL',
    })
  })

  it('looks at both redirect URIs where there are two, and says that the page may not need its own', async () => {
    const login = { ...unpushed, redirect_path: '/elsewhere', navigation: { enabled: true } }
    const findings = (await look({ settings: { login } })).filter(({ check }) => check === 'client.redirect_uri')
    expect(findings.map(({ level, found }) => `${level} ${found}`)).toEqual([
      'error a sign-in that returns to http://localhost:3000/oauth-agent/callback is refused (400)',
      'warning a sign-in that returns to http://localhost:3000/elsewhere is refused (400)',
    ])
  })

  it('tells of a certificate of the authorization server that nobody here trusts', async () => {
    const { certificate, privateKey } = createCertificate({ name: 'server', hosts: ['127.0.0.1'] })
    const server = createTlsServer({ cert: certificate, key: privateKey })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const issuer = `https://127.0.0.1:${(server.address() as AddressInfo).port}`
    const findings = await look({ settings: { authorization_server: { issuer } } })
    server.close()
    expect(findings[0]).toMatchObject({
      check: 'provider.discovery',
      found: `${issuer} cannot be reached (connect_failed, DEPTH_ZERO_SELF_SIGNED_CERT)`,
    })
  })

  describe('through an HTTP proxy', () => {
    const authority = createCertificate({ name: 'authority' })
    const server = createCertificate({ name: 'server', issuer: authority, hosts: ['login.invalid'] })
    let distant: OpenIdProvider
    let proxy: ConnectProxy
    beforeAll(async () => {
      const port = await freePort()
      distant = await startOpenIdProvider({
        port,
        issuer: `https://login.invalid:${port}`,
        tls: { key: server.privateKey, cert: server.certificate },
        clients: [registration],
      })
      writeFileSync(join(folder, 'authority.pem'), authority.certificate)
    })
    beforeEach(async () => {
      proxy = await startConnectProxy()
    })
    afterEach(() => proxy.close())
    afterAll(() => distant.close())
    const lookThrough = () =>
      look({
        settings: {
          authorization_server: {
            issuer: distant.issuer,
            http_proxy: proxy.origin,
            http_proxy_authorization: 'Basic dXNlcjpob3JzZQ==',
            ca_file: join(folder, 'authority.pem'),
          },
        },
      })

    it('goes where the agent goes, and says so', async () => {
      const findings = await lookThrough()
      expect(findings.filter(({ level }) => level === 'error')).toEqual([])
      expect(findings).toContainEqual({
        level: 'ok',
        check: 'provider.http_proxy',
        found: `every call to the authorization server goes through ${proxy.origin}`,
      })
      for (const check of ['client.accepted', 'client.redirect_uri', 'provider.keys']) {
        expect(levelOf(findings, check), check).toBe('ok')
      }
      expect(proxy.asked.length).toBeGreaterThan(0)
    })

    it.each<[string, ProxyAnswer, string, string]>([
      ['refuses us', 407, 'proxy_refused, 407', 'http_proxy_authorization_file'],
      ['does not reach the server', 503, 'proxy_gateway_error, 503', 'does not reach'],
      ['hangs up', { bytes: '' }, 'proxy_connect_failed', 'authorization_server.http_proxy'],
    ])('names the proxy that %s', async (_, answering, why, remedy) => {
      proxy.answer = () => answering
      const findings = await lookThrough()
      expect(findings[0]).toMatchObject({
        level: 'error',
        check: 'provider.discovery',
        found: expect.stringContaining(`cannot be reached through ${proxy.origin} (${why}`) as string,
        remedy: expect.stringContaining(remedy) as string,
      })
      expect(levelOf(findings, 'provider.http_proxy')).toBeUndefined()
      expect(JSON.stringify(findings)).not.toContain('dXNlcj')
    })

    it('names the proxy that keeps us from one host only', async () => {
      const config = parse(settingsFile({ authorization_server: { http_proxy: proxy.origin } }))
      const cause = new TunnelFailure('proxy_refused', { status: 403 })
      const finding = await keySetCheck(config, {
        verifyJwt: () => Promise.reject(new ProviderUnavailable('jwks', 'proxy_refused', 1, cause)),
      })
      expect(finding.found).toBe(`the key set cannot be reached (proxy_refused, 403: ${proxy.origin} opens no tunnel)`)
    })
  })

  it.each([
    [
      'refuses the password',
      (socket: Socket) => void socket.end('-WRONGPASS wrong pair\r\n'),
      'cannot be used (WRONGPASS)',
    ],
    ['hangs up', (socket: Socket) => void socket.end(), 'cannot be used (CLOSED)'],
  ])('tells of a store that %s, in words of its own and without those of a library', async (_, answering, found) => {
    const server = createNetServer((socket) => socket.once('data', () => answering(socket)))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const url = `redis://:password@127.0.0.1:${(server.address() as AddressInfo).port}`
    const findings = await look({ settings: { store: { kind: 'valkey', url } } })
    server.close()
    expect(findings.find(({ check }) => check === 'store')).toMatchObject({ level: 'error', found })
  })

  it('puts the worst first', async () => {
    const levels = (await look({ settings: { client: { secret: 'wrong' } } })).map(({ level }) => level)
    const order = ['error', 'warning', 'skipped', 'ok']
    expect(levels).toEqual(levels.toSorted((one, two) => order.indexOf(one) - order.indexOf(two)))
    expect(levels[0]).toBe('error')
  })
})

describe('the key ring', () => {
  const file = () => join(folder, 'ring.json')
  const write = (text: string) => writeFileSync(file(), text, { mode: 0o600 })
  const find = (mode?: Mode, client: object = {}) => {
    const config = parse(settingsFile({ keys: { file: file() }, client }))
    return [...keyChecks(config, { clock: createManualClock(), mode, userId: process.getuid?.() })]
  }
  const full = () => formatKeyRingFile(testKeys())
  const derived = () => formatKeyRingFile(deriveKeyRing(testKeys(), proxyPurposes))

  it.each<[string, string, string | undefined, string]>([
    ['is missing', 'absent.json', undefined, 'absent.json cannot be read (ENOENT)'],
    ['is a folder', '.', undefined, 'cannot be read (EISDIR)'],
    ['is damaged', 'ring.json', '{"version":2,"keys":[]}', 'version must be 1'],
    ['is no JSON', 'ring.json', full().slice(1), 'is not a JSON object'],
  ])('that %s is reported with what to do', async (_, name, text, words) => {
    if (text !== undefined) write(text)
    const findings = await look({ settings: { keys: { file: join(folder, name) } } })
    const found = findings.filter(({ check }) => check.startsWith('keys'))
    expect(found[0]).toMatchObject({
      level: 'error',
      check: 'keys.file',
      found: expect.stringContaining(words) as string,
    })
    for (const { remedy } of found) expect(remedy).not.toContain('errors above')
  })

  it.each<[string, number, string, number, Finding['level']]>([
    ['its owner', 0o600, 'that user', 1000, 'ok'],
    ['a group', 0o640, 'that user', 1000, 'warning'],
    ['a group', 0o440, 'root, as in a mounted secret', 0, 'ok'],
    ['a group', 0o440, 'another user', 1001, 'ok'],
    ['everybody', 0o444, 'root', 0, 'warning'],
    ['everybody', 0o604, 'another user', 1001, 'warning'],
  ])('may be read by %s (%o) where it belongs to %s', (_, mode, _owner, uid, level) => {
    expect(readersFinding('keys.file', 'ring.json', { mode, uid }, 1000)).toMatchObject({ check: 'keys.file', level })
  })

  it.each<[string, () => string, Mode | undefined, readonly string[]]>([
    ['of the agents for any process', full, undefined, ['ok keys.file', 'ok keys.age']],
    ['of the agents for an agent', full, 'agent', ['ok keys.file', 'ok keys.age']],
    ['of the agents for a proxy', full, 'proxy', ['ok keys.file', 'warning keys.purposes', 'ok keys.age']],
    ['of proxies for a proxy', derived, 'proxy', ['ok keys.file', 'ok keys.purposes', 'ok keys.age']],
    ['of proxies for any process', derived, undefined, ['ok keys.file', 'ok keys.age']],
    ['of proxies for an agent', derived, 'agent', ['error keys.file']],
    ['of proxies for both', derived, 'serve', ['error keys.file']],
  ])('%s', (_, text, mode, expected) => {
    write(text())
    expect(find(mode).map(({ level, check }) => `${level} ${check}`)).toEqual(expected)
  })

  const isOfPurposes = ({ check }: Finding) => check === 'keys.purposes'
  const proving = () => formatKeyRingFile(deriveKeyRing(testKeys(), [...proxyPurposes, ...proofPurposes]))
  it.each<[string, () => string, Mode, readonly string[]]>([
    ['of the agents for an agent', full, 'agent', ['ok keys.file', 'ok keys.age']],
    ['of proxies that prove for a proxy', proving, 'proxy', ['ok keys.file', 'ok keys.purposes', 'ok keys.age']],
    ['of proxies that prove nothing for a proxy', derived, 'proxy', ['error keys.file']],
  ])('where access tokens are bound: %s', (_, text, mode, expected) => {
    write(text())
    const found = find(mode, { dpop_bound_access_tokens: true })
    expect(found.map(({ level, check }) => `${level} ${check}`)).toEqual(expected)
    if (expected[0] === 'error keys.file') expect(found[0]?.remedy).toContain('keys derive --dpop')
  })
  it.each([
    [true, 'opens what a proxy needs, and nothing else'],
    [false, 'is also good for dpop, which no process needs as long as client.dpop_bound_access_tokens is off'],
  ])('of proxies that prove, where access tokens are bound: %j', (isBound, words) => {
    write(proving())
    const found = find('proxy', { dpop_bound_access_tokens: isBound }).find(isOfPurposes)
    expect(found).toMatchObject({ level: isBound ? 'ok' : 'warning', found: words })
  })
  it.each<[string, Finding['level'], string]>([
    ['2026-10-17T08:00:00Z', 'ok', '90 days old'],
    ['2026-10-16T07:59:59Z', 'warning', 'seals and is 91 days old'],
    ['2027-01-15T09:00:00+00:30', 'ok', ', 0 days old'],
    ['2027-01-16T07:59:00.5Z', 'ok', ', 0 days old'],
    ['2027-02-14T08:00:00Z', 'warning', 'was made 30 days from now'],
    ['2099-01-01T00:00:00Z', 'warning', 'days from now'],
    ['5', 'warning', 'does not say when it was made'],
    ['January 2026', 'warning', 'does not say when it was made'],
  ])('whose first key was made at %s is judged by that, at 2027-01-15T08:00:00Z', (createdAt, level, words) => {
    write(full().replace(/"created_at": "[^"]+"/, `"created_at": "${createdAt}"`))
    const found = find('agent').find(({ check }) => check === 'keys.age')
    expect(found).toMatchObject({ level, found: expect.stringContaining(words) as string })
  })
  it.each([[false], [true]])('the ring that a proxy should have proves where it has to: %j', (isBound) => {
    write(full())
    const { remedy } = find('proxy', { dpop_bound_access_tokens: isBound }).find(isOfPurposes) ?? {}
    expect(remedy).toMatch(isBound ? /keys derive --dpop \S/ : /keys derive [^-\s]/)
  })
})

describe('certificates for TLS', () => {
  const { certificate, privateKey } = createCertificate({ name: 'proxy', until: '300131000000Z' })
  const files = { certificate_file: 'tls.crt', private_key_file: 'tls.key' }
  const find = (until: string, mode: Mode | undefined, listen: object = files) => {
    writeFileSync(join(folder, 'tls.crt'), certificate)
    writeFileSync(join(folder, 'tls.key'), privateKey, { mode: 0o600 })
    const text = settingsFile({
      proxy: { listen },
      agent: { listen: { certificate_file: 'no', private_key_file: 'no' } },
    })
    const config = parse(text, { file: join(folder, 'settings.yaml') })
    const clock = createManualClock(Date.parse(until) / 1000)
    return [...certificateChecks(config, { clock, mode, userId: process.getuid?.() })]
  }

  it.each<[string, string, readonly string[]]>([
    ['valid for long', '2029-01-30T00:00:00Z', ['ok listen.certificate', 'ok listen.private_key']],
    ['about to expire', '2030-01-20T00:00:00Z', ['warning listen.certificate', 'ok listen.private_key']],
    ['expired', '2030-01-31T00:00:00Z', ['error listen.certificate']],
    ['not valid yet', '2019-12-31T23:59:59Z', ['error listen.certificate', 'ok listen.private_key']],
  ])('%s', (_, now, expected) => {
    expect(find(now, 'serve').map(({ level, check }) => `${level} ${check}`)).toEqual(expected)
  })
  it.each([
    ['2029-12-01T00:00:00Z', ['ok', 'ok']],
    ['2029-12-20T00:00:00Z', ['expires in 13 days', 'expires in 13 days']],
    ['2030-01-02T00:00:01Z', ['has expired', 'has expired']],
  ])('are judged with the authorities of clients and what stands behind them, at %s', (now, expected) => {
    const earlier = createCertificate({ name: 'earlier', until: '300102000000Z' }).certificate
    writeFileSync(join(folder, 'chain.crt'), certificate + earlier)
    writeFileSync(join(folder, 'ca.crt'), earlier + createCertificate({ name: 'later' }).certificate)
    const listen = { ...files, certificate_file: 'chain.crt', client_ca_file: 'ca.crt' }
    const found = find(now, 'proxy', listen).filter(({ check }) => check === 'listen.certificate')
    expect(found.map(({ found: words }) => words)).toEqual(
      ['certificate_file', 'client_ca_file'].map((setting, index) =>
        expected[index] === 'ok'
          ? `proxy.listen.${setting} is valid for 32 days`
          : `proxy.listen.${setting} holds a certificate that ${expected[index]}`,
      ),
    )
  })
  it('of authorities may be of the time to come, as long as one is of now', () => {
    const future = createCertificate({ name: 'future', from: '290101000000Z' }).certificate
    const present = createCertificate({ name: 'present' }).certificate
    const levelWith = (authorities: string) => {
      writeFileSync(join(folder, 'ca.crt'), authorities)
      const found = find('2028-01-01T00:00:00Z', 'proxy', { ...files, client_ca_file: 'ca.crt' })
      return found.find((each) => each.found.includes('client_ca_file'))?.level
    }
    expect([levelWith(present + future), levelWith(future)]).toEqual(['ok', 'error'])
  })
  it('are those of the process that is to run', () => {
    expect(find('2029-01-30T00:00:00Z', 'agent').map(({ level }) => level)).toEqual(['error', 'error'])
    expect(find('2029-01-30T00:00:00Z', undefined).map(({ level }) => level)).toEqual(['error', 'error'])
    expect(find('2029-01-30T00:00:00Z', 'proxy', {})).toEqual([])
  })
})

const endpoints = {
  issuer: 'https://login.example.com',
  authorization_endpoint: 'https://login.example.com/authorize',
  token_endpoint: 'https://login.example.com/token',
  jwks_uri: 'https://login.example.com/jwks',
}

describe('what we sign, against what the server takes', () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const readFile = () => privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  const client = { authentication: 'private_key_jwt', private_key_file: 'client.pem', secret: undefined }
  const takes = (member: string, ...algorithms: string[]) => ({
    [`${member}_signing_alg_values_supported`]: algorithms,
  })
  it.each<[string, object, object, string[]]>([
    ['nothing is said', {}, {}, []],
    ['assertions fit', {}, takes('token_endpoint_auth', 'RS256', 'ES256'), ['ok provider.client_algorithm']],
    ['assertions do not fit', {}, takes('token_endpoint_auth', 'RS256'), ['error provider.client_algorithm']],
    ['requests must be signed', {}, { require_signed_request_object: true }, ['error provider.jar']],
    ['requests fit', { signed_request_object: true }, takes('request_object', 'ES256'), ['ok provider.jar']],
    ['requests do not fit', { signed_request_object: true }, takes('request_object', 'PS256'), ['error provider.jar']],
  ])('%s', async (_what, login, metadata, expected) => {
    const config = parse(settingsFile({ client, login }), { readFile })
    const server = { metadata: () => Promise.resolve({ ...endpoints, ...metadata }) }
    const findings = await allOf(providerChecks(config, server))
    const found = findings.filter(({ check }) => /jar|client_algorithm/.test(check))
    expect(found.map(({ level, check }) => `${level} ${check}`)).toEqual(expected)
  })
})

describe('proofs (DPoP)', () => {
  const found = async (isBound: boolean, server: Parameters<typeof providerChecks>[1]) => {
    const config = parse(settingsFile({ client: { dpop_bound_access_tokens: isBound } }))
    const findings = await allOf(providerChecks(config, server))
    return findings.flatMap(({ level, check }) => (check === 'provider.dpop' ? [level] : []))
  }
  it.each<[string, boolean, object, string[]]>([
    ['that nobody asks for', false, {}, []],
    ['with ES256', true, { dpop_signing_alg_values_supported: ['RS256', 'ES256'] }, ['ok']],
    ['of which the server says nothing', true, {}, ['error']],
  ])('%s', async (_what, isBound, more, expected) => {
    expect(await found(isBound, { metadata: () => Promise.resolve({ ...endpoints, ...more }) })).toEqual(expected)
  })
  it('with other algorithms only are an error of their own, with what to do', async () => {
    const refused = new ProviderAnswerInvalid('metadata', 'dpop')
    expect(await found(true, { metadata: () => Promise.reject(refused) })).toEqual(['error'])
  })
  it('with other algorithms only are all that is said of a server whose metadata is of no use then', async () => {
    const server = await startScriptedServer()
    server.changeMetadata({ dpop_signing_alg_values_supported: ['RS256'] })
    const client = { secret, dpop_bound_access_tokens: true }
    const findings = await look({ settings: { authorization_server: { issuer: server.issuer }, client } })
    await server.close()
    const ofServer = findings.filter(({ check }) => /^(?:provider|client)\./.test(check))
    expect(ofServer.map(({ level, check }) => `${level} ${check}`)).toEqual(['error provider.dpop'])
  })
})

describe('a refresh token that the server has bound to the key of its sign-in (RFC 9449 §5)', () => {
  const proves = async (file: string): Promise<Finding['level'] | undefined> => {
    const server = await startScriptedServer()
    const text = settingsFile({
      public_origin: 'http://localhost:3000',
      insecure_allow_http: true,
      authorization_server: { issuer: server.issuer },
      client: { secret, dpop_bound_access_tokens: true },
      keys: { file },
    })
    const config = parse(text, { readFile: (path) => readFileSync(path, 'utf8') })
    const keys = fixedKeys(parseKeyRing(readFileSync(join(folder, 'keys.json'), 'utf8')))
    const { publicJwk } = createDpopKeys({ keys, binding: bindingOf(config) }).current()
    server.script.token = (form, { headers }) => {
      const { jwk } = decodeProtectedHeader(String(headers['dpop']))
      const isBound = form.get('refresh_token') === 'bound' && isDeepStrictEqual(jwk, publicJwk)
      return isBound
        ? { body: { access_token: 'a', token_type: 'DPoP', expires_in: 60 } }
        : { status: 400, body: { error: 'invalid_grant' } }
    }
    const parts = { config, clock: systemClock, userId: process.getuid?.(), refreshToken: 'bound' }
    try {
      const findings = await examine(parts)
      expect(levelOf(findings, 'client.accepted')).toBe('ok')
      return levelOf(findings, 'provider.rotation')
    } finally {
      await server.close()
    }
  }

  it('is tried with that key', async () => {
    expect(await proves(join(folder, 'keys.json'))).toBe('ok')
  })
  it('is tried in vain where the ring cannot be read, and the rest is examined all the same', async () => {
    expect(await proves(join(folder, 'no-such-keys.json'))).toBe('error')
  })
})

it('findings are lines with a mark and a remedy', () => {
  const findings: Finding[] = [
    { level: 'error', check: 'a.b', found: 'is wrong', remedy: 'Mend it.' },
    { level: 'skipped', check: 'b', found: 'is far' },
    { level: 'ok', check: 'c', found: 'is good' },
  ]
  expect(findingsText(findings)).toBe(
    '✗ a.b: is wrong\n    Mend it.\n- b: is far\n✓ c: is good\n\n1 error, 0 warnings, 1 skipped, 1 good.',
  )
})

function shifted(seconds: number): Clock {
  return {
    ...systemClock,
    nowMs: () => systemClock.nowMs() + seconds * 1000,
    nowSeconds: () => systemClock.nowSeconds() + seconds,
  }
}
