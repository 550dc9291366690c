import { generateKeyPairSync } from 'node:crypto'
import { calculateJwkThumbprint, exportJWK, importSPKI, jwtVerify } from 'jose'
import { describe, expect, it } from 'vitest'
import { authorizationUrlOf, statusAndCode } from '../support/page.ts'
import { startProviderWorld } from '../support/provider-world.ts'
import { type ScriptedWorld, startScriptedWorld } from '../support/scripted-authorization-server.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const keyFile = temporaryFolder().file('client.pem', privateKey.export({ type: 'pkcs8', format: 'pem' }).toString())
const withKey = `  authentication: private_key_jwt\n  private_key_file: ${keyFile}`

async function inWorld(
  options: { settings?: string; client?: string; par?: boolean },
  run: (world: ScriptedWorld) => Promise<void>,
): Promise<void> {
  const world = await startScriptedWorld(options)
  const { server } = world
  if (options.par === true) {
    server.changeMetadata({ pushed_authorization_request_endpoint: `${server.issuer}/par` })
  }
  try {
    await run(world)
  } finally {
    await world.close()
  }
}

const start = (world: ScriptedWorld, form: Record<string, string> = {}) =>
  world.browser().call('POST', '/oauth-agent/login/start', { form })

describe('a pushed authorization request (PAR, RFC 9126)', () => {
  it('leaves client_id and request_uri in the URL and nothing else (FA-12)', () =>
    inWorld({ par: true }, async (world) => {
      const page = world.browser()
      const answer = await page.call('POST', '/oauth-agent/login/start', { form: { login_hint: 'alice' } })
      expect([...authorizationUrlOf(answer).searchParams.keys()].sort()).toEqual(['client_id', 'request_uri'])
      expect(world.server.asked(authorizationUrlOf(answer).href)).toMatchObject({
        client_id: 'spa',
        login_hint: 'alice',
        response_type: 'code',
        redirect_uri: `${world.publicOrigin}/callback`,
        code_challenge_method: 'S256',
      })
      const pushed = world.server.requests.find(({ endpoint }) => endpoint === 'par')
      expect(pushed?.headers.authorization).toMatch(/^Basic /)
      const end = await page.call('POST', '/oauth-agent/login/end', {
        form: world.server.authorize(authorizationUrlOf(answer).href),
      })
      expect(end.json()['is_logged_in']).toBe(true)
    }))

  it('is made anew for each sign-in, since its reference is good for one (FA-13)', () =>
    inWorld({ par: true }, async (world) => {
      const uris = [await start(world), await start(world)].map((each) =>
        authorizationUrlOf(each).searchParams.get('request_uri'),
      )
      expect([new Set(uris).size, world.server.count('par')]).toEqual([2, 2])
    }))

  it('is not used when the setting says never', () =>
    inWorld({ par: true, settings: 'login: { pushed_authorization_requests: never }' }, async (world) => {
      expect(authorizationUrlOf(await start(world)).searchParams.has('request_uri')).toBe(false)
      expect(world.server.count('par')).toBe(0)
    }))

  it('always means that a server without the endpoint cannot be used', () =>
    inWorld({ settings: 'login: { pushed_authorization_requests: always }' }, async (world) => {
      expect(statusAndCode(await start(world))).toEqual([502, 'authorization_server_error'])
    }))

  it.each<[string, object, [number, string]]>([
    ['the request is refused', { status: 400, body: { error: 'invalid_target' } }, [502, 'authorization_failed']],
    [
      'the client is refused',
      { status: 401, body: { error: 'invalid_client' } },
      [503, 'client_authentication_failed'],
    ],
    ...['temporarily_unavailable', 'server_error'].map((error): [string, object, [number, string]] => [
      `the server says ${error}`,
      { status: 400, body: { error } },
      [503, 'authorization_server_unavailable'],
    ]),
    [
      'nobody may use the client for this',
      { status: 400, body: { error: 'unauthorized_client' } },
      [503, 'client_authentication_failed'],
    ],
    ['the server is down', { status: 503, body: '' }, [503, 'authorization_server_unavailable']],
    ['the reference is missing', { status: 201, body: { expires_in: 60 } }, [502, 'authorization_server_error']],
    [
      'the reference is endless',
      { status: 201, body: { request_uri: 'x'.repeat(600), expires_in: 60 } },
      [502, 'authorization_server_error'],
    ],
    ['the answer is no JSON', { status: 201, body: '<html>' }, [502, 'authorization_server_error']],
  ])('when %s', (_what, reply, expected) =>
    inWorld({ par: true }, async (world) => {
      world.server.script.par = () => ({ body: '', ...reply })
      const answer = await start(world)
      expect(statusAndCode(answer)).toEqual(expected)
      expect(answer.setCookies).toEqual([])
    }),
  )
})

describe('a signed authorization request (JAR, RFC 9101)', () => {
  const settings = 'login: { signed_request_object: true, resource: ["https://a.test", "https://b.test"] }'

  async function claimsOf(object: string, world: ScriptedWorld) {
    const key = await importSPKI(publicKey.export({ type: 'spki', format: 'pem' }).toString(), 'ES256')
    return jwtVerify(object, key, {
      typ: 'oauth-authz-req+jwt',
      audience: world.server.issuer,
      issuer: 'spa',
      currentDate: new Date(world.clock.nowMs()),
    })
  }

  it('holds everything, for this server, for five minutes (MS-1)', () =>
    inWorld({ settings, client: withKey }, async (world) => {
      const { searchParams } = authorizationUrlOf(
        await start(world, { max_age: '60', claims: '{"id_token":{"acr":null}}' }),
      )
      const { payload, protectedHeader } = await claimsOf(searchParams.get('request') ?? '', world)
      const now = world.clock.nowSeconds()
      expect(payload).toMatchObject({
        aud: world.server.issuer,
        client_id: 'spa',
        response_type: 'code',
        max_age: 60,
        claims: { id_token: { acr: null } },
        resource: ['https://a.test', 'https://b.test'],
        redirect_uri: `${world.publicOrigin}/callback`,
      })
      expect(payload.exp).toBeLessThanOrEqual(now + 300)
      expect(payload.nbf).toBeLessThan(now)
      expect(protectedHeader.kid).toMatch(/^[\w-]{43}$/)
      expect([...searchParams.keys()].sort()).toEqual(['client_id', 'request', 'response_type', 'scope'])
    }))

  it('is all there is when it is pushed (MS-1)', () =>
    inWorld({ settings, client: withKey, par: true }, async (world) => {
      const page = world.browser()
      const query = await world.start(page)
      const { form } = world.server.requests.find(({ endpoint }) => endpoint === 'par') ?? { form: undefined }
      expect([...(form?.keys() ?? [])].sort()).toEqual([
        'client_assertion',
        'client_assertion_type',
        'client_id',
        'request',
      ])
      expect((await page.call('POST', '/oauth-agent/login/end', { form: query })).json()['is_logged_in']).toBe(true)
    }))
})

describe('a signed authorization response (JARM)', () => {
  const settings = 'login: { response_mode: jwt }'
  async function comeBack(world: ScriptedWorld, make: (query: URLSearchParams) => Promise<string> | string) {
    const page = world.browser()
    const query = await world.start(page)
    const response = await make(query)
    return page.call('POST', '/oauth-agent/login/end', { form: { response } })
  }

  it('is asked for and read', () =>
    inWorld({ settings }, async (world) => {
      expect(authorizationUrlOf(await start(world)).searchParams.get('response_mode')).toBe('jwt')
      const answer = await comeBack(world, (query) => world.server.signedResponse(Object.fromEntries(query)))
      expect(answer.json()['is_logged_in']).toBe(true)
    }))

  it('can hold an error, which keeps its meaning', () =>
    inWorld({ settings }, async (world) => {
      const answer = await comeBack(world, (query) =>
        world.server.signedResponse({ error: 'login_required', state: query.get('state') }),
      )
      expect(statusAndCode(answer)).toEqual([401, 'login_required'])
    }))

  it('a plain response in its place is refused, and so is a signed one that was not asked for', async () => {
    await inWorld({ settings }, async (world) => {
      const answer = await world.signIn(world.browser())
      expect(statusAndCode(answer)).toEqual([400, 'authorization_response_invalid'])
      expect(world.server.count('token')).toBe(0)
    })
    await inWorld({}, async (world) => {
      const answer = await comeBack(world, (query) => world.server.signedResponse(Object.fromEntries(query)))
      expect(statusAndCode(answer)).toEqual([400, 'authorization_response_invalid'])
    })
  })

  it('names its issuer inside, also where the server promises no iss (MS-2)', () =>
    inWorld({ settings }, async (world) => {
      world.server.changeMetadata({ authorization_response_iss_parameter_supported: false })
      const unnamed: Record<string, unknown> = { iss: undefined }
      const answer = await comeBack(world, (query) =>
        world.server.signedResponse({ ...Object.fromEntries(query), ...unnamed }),
      )
      expect(statusAndCode(answer)).toEqual([400, 'authorization_response_invalid'])
    }))

  it('of another attempt finds no attempt', () =>
    inWorld({ settings }, async (world) => {
      const answer = await comeBack(world, () => world.server.signedResponse({ code: 'x', state: 'y'.repeat(43) }))
      expect(statusAndCode(answer)).toEqual([400, 'invalid_state'])
    }))

  it.each([
    ['nothing', ''],
    ['a word', 'x'],
    ['no JWT', 'a.b.c'],
    ['a long word', 'x'.repeat(9000)],
  ])('%s is no response', (_what, response) =>
    inWorld({ settings }, async (world) => {
      expect(statusAndCode(await comeBack(world, () => response))).toEqual([400, 'invalid_state'])
    }),
  )
})

describe('rich authorization details (RAR, RFC 9396)', () => {
  const settings = `
login:
  authorization_details:
    - { type: payment, actions: [initiate, status], identifier: shop, currency: EUR }
`
  const granted = (details: unknown) =>
    inWorld({ settings }, async (world) => {
      world.server.script.token = (form) => world.server.tokens(form, { authorization_details: details })
      outcome = statusAndCode(await world.signIn(world.browser()))
    })
  let outcome: unknown[] = []

  it('are sent as configured; the page cannot add any (X-8)', () =>
    inWorld({ settings }, async (world) => {
      const { searchParams } = authorizationUrlOf(await start(world))
      expect(JSON.parse(searchParams.get('authorization_details') ?? '')).toEqual([
        { type: 'payment', actions: ['initiate', 'status'], identifier: 'shop', currency: 'EUR' },
      ])
      expect(statusAndCode(await start(world, { authorization_details: '[]' }))).toEqual([400, 'parameter_not_allowed'])
    }))

  const asked = { type: 'payment', actions: ['initiate', 'status'], identifier: 'shop' }
  it.each<[string, unknown, unknown[]]>([
    ['as asked for', [asked], [200, undefined]],
    ['enriched and narrowed', [{ ...asked, actions: ['status'], account: 'DE1' }], [200, undefined]],
    ['with another action', [{ ...asked, actions: ['delete'] }], [502, 'authorization_server_error']],
    ['for another resource', [{ ...asked, identifier: 'vault' }], [502, 'authorization_server_error']],
    ['for any resource', [{ ...asked, identifier: undefined }], [502, 'authorization_server_error']],
    ['without the limit', [{ ...asked, actions: undefined }], [502, 'authorization_server_error']],
    [
      'with another type beside it',
      [{ ...asked, actions: [] }, { type: 'admin' }],
      [502, 'authorization_server_error'],
    ],
    ['as something else', ['payment'], [502, 'authorization_server_error']],
    ['as no list', asked, [502, 'authorization_server_error']],
    ['not at all', undefined, [502, 'authorization_server_error']],
    ['empty, because the user declined', [], [403, 'access_denied']],
  ])('granted %s', async (_what, details, expected) => {
    await granted(details)
    expect(outcome).toEqual(expected)
  })

  it.each<[string, unknown, unknown[]]>([
    ['as before', [asked], [200, undefined]],
    ['with less than before', [], [200, undefined]],
    ['without a word about them', undefined, [200, undefined]],
    ['with another action', [{ ...asked, actions: ['delete'] }], [502, 'authorization_server_error']],
    ['with another type beside it', [asked, { type: 'admin' }], [502, 'authorization_server_error']],
    ['as no list', asked, [502, 'authorization_server_error']],
  ])('renewed %s', (_what, details, expected) =>
    inWorld({ settings }, async (world) => {
      const page = world.browser()
      world.server.script.token = (form) => world.server.tokens(form, { authorization_details: [asked] })
      await world.signIn(page)
      const { accessToken } = world.open(page)
      world.server.script.token = (form) => world.server.tokens(form, { authorization_details: details })
      expect(statusAndCode(await page.call('POST', '/oauth-agent/refresh'))).toEqual(expected)
      expect(world.open(page).accessToken === accessToken).toBe(expected[0] === 502)
    }),
  )
})

describe('parameters that only some servers know', () => {
  it('are sent as the page wants them where the settings list them, within bounds, and refused elsewhere', () =>
    inWorld({ settings: 'login: { allowed_parameters: [login_hint, kc_idp_hint] }' }, async (world) => {
      const answer = await start(world, { kc_idp_hint: 'corporate', login_hint: 'alice' })
      expect(Object.fromEntries(authorizationUrlOf(answer).searchParams)).toMatchObject({
        kc_idp_hint: 'corporate',
        login_hint: 'alice',
        response_type: 'code',
      })
      const refused = [400, 'parameter_not_allowed']
      expect(statusAndCode(await start(world, { kc_idp_hint: 'a\r\nb' }))).toEqual(refused)
      expect(statusAndCode(await start(world, { domain_hint: 'example.com' }))).toEqual(refused)
      expect(statusAndCode(await start(world, { prompt: 'login' }))).toEqual(refused)
    }))
})

describe('fixed parameters', () => {
  const settings = 'login: { extra_parameters: { acr_values: high, max_age: "600", ui_theme: dark } }'

  it('are sent, and the page can neither change nor loosen them (C08, X-3)', () =>
    inWorld({ settings }, async (world) => {
      const { searchParams } = authorizationUrlOf(await start(world, { ui_locales: 'de' }))
      expect(Object.fromEntries(searchParams)).toMatchObject({ acr_values: 'high', max_age: '600', ui_theme: 'dark' })
      for (const form of [
        { acr_values: 'low' },
        { max_age: '999999' },
        { acr_values: 'high low' },
        { ui_theme: 'dark' },
      ]) {
        expect(statusAndCode(await start(world, form))).toEqual([400, 'parameter_not_allowed'])
      }
    }))

  it('may be repeated where the page may send them, as a step-up does, and are sent once', () =>
    inWorld({ settings }, async (world) => {
      const { searchParams } = authorizationUrlOf(await start(world, { acr_values: 'high', max_age: '600' }))
      for (const [name, value] of [
        ['acr_values', 'high'],
        ['max_age', '600'],
      ] as const) {
        expect(searchParams.getAll(name)).toEqual([value])
      }
      expect(statusAndCode(await start(world, { acr_values: 'high', max_age: '60' }))).toEqual([
        400,
        'parameter_not_allowed',
      ])
    }))

  it('that a step-up repeats still bind it to its user', () =>
    inWorld({ settings }, async (world) => {
      const page = world.browser()
      world.server.script.token = (form) => world.server.tokens(form, {}, { acr: 'high' })
      expect(statusAndCode(await world.signIn(page))).toEqual([200, undefined])
      expect(statusAndCode(await world.signIn(page, { acr_values: 'high' }, 'bob'))).toEqual([
        403,
        'step_up_not_reached',
      ])
      expect(statusAndCode(await world.signIn(page, { acr_values: 'high' }))).toEqual([200, undefined])
    }))

  it('are checked in the ID token like what was asked for (OID-9, OID-10)', () =>
    inWorld({ settings }, async (world) => {
      const page = world.browser()
      expect(statusAndCode(await world.signIn(page))).toEqual([403, 'step_up_not_reached'])
      world.server.script.token = (form) => world.server.tokens(form, {}, { acr: 'high', auth_time: 1 })
      expect(statusAndCode(await world.signIn(page))).toEqual([403, 'step_up_not_reached'])
      world.server.script.token = (form) => world.server.tokens(form, {}, { acr: 'high' })
      expect(statusAndCode(await world.signIn(page))).toEqual([200, undefined])
      // Everybody has to meet them, so another user may follow.
      expect((await world.signIn(page, {}, 'bob')).json()).toMatchObject({ id_token_claims: { sub: 'bob' } })
    }))

  it('may demand the level as an essential claim, which is checked as well', () => {
    const claims = '{"id_token":{"acr":{"essential":true,"value":"high"}}}'
    return inWorld({ settings: `login: { extra_parameters: { claims: '${claims}' } }` }, async (world) => {
      const page = world.browser()
      expect(authorizationUrlOf(await start(world)).searchParams.getAll('claims')).toEqual([claims])
      expect(statusAndCode(await world.signIn(page))).toEqual([403, 'step_up_not_reached'])
      world.server.script.token = (form) => world.server.tokens(form, {}, { acr: 'high' })
      expect(statusAndCode(await world.signIn(page))).toEqual([200, undefined])
      expect((await world.signIn(page, {}, 'bob')).json()).toMatchObject({ id_token_claims: { sub: 'bob' } })
    })
  })
})

describe('resource indicators (X-6)', () => {
  it('go into the authorization request, the code exchange and every refresh', () =>
    inWorld({ settings: 'login: { resource: ["https://a.test", "https://b.test"] }' }, async (world) => {
      const page = world.browser()
      expect(authorizationUrlOf(await start(world)).searchParams.getAll('resource')).toEqual([
        'https://a.test',
        'https://b.test',
      ])
      await world.signIn(page)
      await page.call('POST', '/oauth-agent/refresh')
      const sent = world.server.requests.filter(({ endpoint }) => endpoint === 'token')
      expect(sent.map(({ form }) => form.getAll('resource'))).toEqual([
        ['https://a.test', 'https://b.test'],
        ['https://a.test', 'https://b.test'],
      ])
    }))

  it('invalid_target is an answer without a session', () =>
    inWorld({ settings: 'login: { resource: ["https://a.test"] }' }, async (world) => {
      world.server.script.token = () => ({ status: 400, body: { error: 'invalid_target' } })
      expect(statusAndCode(await world.signIn(world.browser()))).toEqual([502, 'authorization_server_error'])
    }))
})

it('the real oidc-provider takes a pushed, signed request and gives a signed response', async () => {
  const jwk = await exportJWK(publicKey)
  const kid = await calculateJwkThumbprint(jwk)
  const world = await startProviderWorld({
    client: withKey,
    settings: 'login: { signed_request_object: true, response_mode: jwt }',
    metadata: {
      client_secret: undefined,
      token_endpoint_auth_method: 'private_key_jwt',
      token_endpoint_auth_signing_alg: 'ES256',
      request_object_signing_alg: 'ES256',
      require_signed_request_object: true,
      require_pushed_authorization_requests: true,
      authorization_signed_response_alg: 'ES256',
      id_token_signed_response_alg: 'ES256',
      jwks: { keys: [{ ...jwk, kid, use: 'sig', alg: 'ES256' }] },
    },
  })
  const page = world.browser()
  const start = await page.call('POST', '/oauth-agent/login/start')
  expect(start.text).toContain('request_uri')

  const query = await page.visit(String(start.json()['authorization_url']))
  expect([...query.keys()]).toEqual(['response'])
  expect((await page.call('POST', '/oauth-agent/login/end', { form: query })).json()).toMatchObject({
    is_logged_in: true,
    id_token_claims: { sub: 'u-1001' },
  })
  await world.close()
})
