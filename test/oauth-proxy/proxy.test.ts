import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ProxyWorld, publicOrigin, startProxy } from '../support/proxy-world.ts'
import { answer, echo, okBytes, startUpstream, type Upstream } from '../support/upstream.ts'

let api: Upstream
let world: ProxyWorld

beforeAll(async () => {
  api = await startUpstream()
  world = await startProxy(`
    - path: /api/**
      methods: [GET, HEAD, POST]
      upstream: ${api.origin}
      max_body_bytes: 1000
    - path: /open
      upstream: ${api.origin}
      credential: { kind: none }
      anonymous: none
`)
})

afterAll(async () => {
  await world.close()
  await api.close()
})

describe('a call with a session', () => {
  it('reaches the API with the token of the cookie and without the cookie', async () => {
    const answered = await world.call('GET', '/api/orders?page=2')
    expect(answered.status).toBe(200)
    const seen = api.seen.at(-1)
    expect(seen?.target).toBe('/api/orders?page=2')
    expect(seen?.values('authorization')).toEqual([expect.stringMatching(/^Bearer [\w.-]{1194}$/)])
    expect(seen?.values('cookie')).toEqual([])
    expect(seen?.values('host')).toEqual([`127.0.0.1:${api.port}`])
  })

  it('sends a body on and brings the answer back', async () => {
    const answered = await world.call('POST', '/api/orders', {
      body: '{"a":1}',
      more: ['Content-Type: application/json', 'Origin: https://www.example.com'],
    })
    expect(answered.status).toBe(200)
    expect(answered.json()).toMatchObject({ method: 'POST', target: '/api/orders', body: '{"a":1}' })
  })

  it.each([
    [1000, 200, 1],
    [1001, 413, 0],
  ])('with a body of %i bytes is answered with %i; the API hears of it %i times', async (length, status, heard) => {
    const before = api.seen.length
    const answered = await world.call('POST', '/api/orders', {
      body: 'x'.repeat(length),
      more: ['Origin: https://www.example.com'],
    })
    expect([answered.status, api.seen.length - before]).toEqual([status, heard])
  })

  const trace = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
  it.each([
    ['a trace goes on', [`traceparent: ${trace}`, 'tracestate: a=1'], [[trace], ['a=1']]],
    ['a malformed one does not', ['traceparent: 00-x-y-01', 'tracestate: a=1'], [[], []]],
    ['a state without a trace does not', ['tracestate: a=1'], [[], []]],
  ])('%s', async (_, more, expected) => {
    await world.call('GET', '/api/orders', { more })
    expect([api.seen.at(-1)?.values('traceparent'), api.seen.at(-1)?.values('tracestate')]).toEqual(expected)
  })

  it('HX-21 that has been here before goes no further', async () => {
    const before = api.seen.length
    const answered = await world.call('GET', '/api/orders', { more: ['Via: 1.1 token-handler'] })
    expect([answered.status, api.seen.length]).toEqual([400, before])
  })

  it('answers HEAD without a body', async () => {
    const answered = await world.call('HEAD', '/api/orders')
    expect(answered).toMatchObject({ status: 200, body: '' })
    expect(answered.header('content-length')).toBe('2')
  })
})

describe('HX-24 an API that repeats what it was sent', () => {
  it.each<[string, (credential: string) => string]>([
    ['the whole credential', (credential) => credential],
    ['the token alone', (credential) => credential.replace('Bearer ', '')],
    ['the token inside something else', (credential) => `token="${credential.replace('Bearer ', '')}"`],
  ])('%s stays between the two of us', async (_, repeated) => {
    api.behave((socket, seen) => {
      const [credential = ''] = seen.values('authorization')
      socket.write(Buffer.from(okBytes('', [`X-Seen: ${repeated(credential)}`, 'X-Other: a'])))
    })
    const answered = await world.call('GET', '/api/orders')
    api.behave(echo)
    expect([answered.status, answered.header('x-other'), answered.header('x-seen')]).toEqual([200, 'a', undefined])
  })

  it('a short token does not come back as the scope that is missing', async () => {
    api.behave((socket, seen) => {
      const token = seen.values('authorization').join().replace('Bearer ', '')
      const challenge = `Bearer error="insufficient_scope", scope="a ${token}"`
      socket.write(okBytes('', [`WWW-Authenticate: ${challenge}`], '403 No'))
    })
    const answered = await world.call('GET', '/api/orders', { cookies: world.cookies({ accessToken: 'opaque-1' }) })
    api.behave(echo)
    expect([answered.status, answered.json()]).toEqual([
      403,
      { error_code: 'insufficient_scope', detailed_error: expect.any(String) as string },
    ])
  })

  it.each([
    ['302 Found', 502],
    ['201 Created', 201],
  ])('%s with the token in its Location leads nowhere', async (given, status) => {
    api.behave((socket, seen) => {
      const [credential = ''] = seen.values('authorization')
      socket.write(okBytes('', [`Location: /api/next?token=${credential.replace('Bearer ', '')}`], given))
    })
    const answered = await world.call('GET', '/api/orders')
    api.behave(echo)
    expect([answered.status, answered.header('location')]).toEqual([status, undefined])
  })
})

describe('a method that the path does not have (HX-14; RFC 9110 §15.5.6)', () => {
  it.each([
    ['DELETE', '/api/orders', 405, 'GET, HEAD, POST'],
    ['TRACE', '/api/orders', 405, 'GET, HEAD, POST'],
    ['TRACE', '/open', 405, 'GET, HEAD'],
    ['TRACE', '/nowhere', 405, ''],
    ['DELETE', '/nowhere', 404, undefined],
  ])('%s %s answers %i and names those it has', async (method, path, status, allow) => {
    const before = api.seen.length
    const answered = await world.call(method, path)
    expect([answered.status, answered.header('allow'), api.seen.length]).toEqual([status, allow, before])
  })
})

describe('a call without a session', () => {
  it('is answered by us', async () => {
    const before = api.seen.length
    const answered = await world.call('GET', '/api/orders', { cookies: undefined })
    expect(answered.status).toBe(401)
    expect(answered.json()).toEqual({ error_code: 'session_missing', detailed_error: 'Nobody is signed in.' })
    expect(answered.header('token-handler-error')).toBe('session_missing')
    expect(answered.header('content-type')).toBe('application/json')
    expect(api.seen.length).toBe(before)
  })

  it('passes without a credential where the route lets visitors in', async () => {
    const answered = await world.call('GET', '/open', { cookies: undefined })
    expect(answered.status).toBe(200)
    expect(api.seen.at(-1)?.values('authorization')).toEqual([])
  })
})

describe('X-2 HX-33 an API refuses the token', () => {
  it.each([
    ['401 No', 'Bearer error="invalid_token"', { error_code: 'upstream_unauthorized' }],
    [
      '401 No',
      'Bearer error="insufficient_user_authentication", acr_values="gold", max_age="60"',
      { error_code: 'insufficient_user_authentication', acr_values: 'gold', max_age: 60 },
    ],
    ['403 No', 'Bearer error="insufficient_scope", scope="a b"', { error_code: 'insufficient_scope', scope: 'a b' }],
  ])('%s %s', async (status, challenge, expected) => {
    api.behave(answer(okBytes('inner details', [`WWW-Authenticate: ${challenge}`], status)))
    const answered = await world.call('GET', '/api/orders')
    api.behave(echo)
    expect(answered.status).toBe(Number(status.slice(0, 3)))
    expect(answered.json()).toMatchObject(expected)
    expect(answered.header('www-authenticate')).toBeUndefined()
    expect(answered.header('token-handler-error')).toBe(expected.error_code)
    expect(answered.body).not.toContain('inner details')
  })

  it('a 403 of its own is its own', async () => {
    api.behave(answer(okBytes('{"reason":"closed on Sundays"}', [], '403 No')))
    const answered = await world.call('GET', '/api/orders')
    api.behave(echo)
    expect([answered.status, answered.body]).toEqual([403, '{"reason":"closed on Sundays"}'])
    expect(answered.header('token-handler-error')).toBeUndefined()
  })
})

describe('what is told', () => {
  const told = async (run: () => Promise<unknown>) => {
    world.events.length = 0
    await run()
    return world.events.map(({ name, fields }) => [name, fields['error_code'] ?? fields['outcome']])
  }

  it('a call that went well', async () => {
    expect(await told(() => world.call('GET', '/api/orders'))).toEqual([
      ['cookie.opened', undefined],
      ['upstream.called', 'complete'],
      ['request.answered', undefined],
    ])
  })

  it('a call that was refused', async () => {
    expect(await told(() => world.call('GET', '/api/orders', { cookies: undefined }))).toEqual([
      ['request.refused', 'session_missing'],
      ['request.answered', 'session_missing'],
    ])
  })

  it('an API that fails', async () => {
    api.behave((socket) => socket.end())
    const events = await told(() => world.call('POST', '/api/orders', { body: 'a', more: [`Origin: ${publicOrigin}`] }))
    api.behave(echo)
    expect(events.slice(1)).toEqual([
      ['upstream.called', 'upstream_reset'],
      ['upstream.failed', 'upstream_reset'],
      ['request.answered', 'upstream_reset'],
    ])
  })
})

describe('what ends a session', () => {
  it.each([
    ['the access token expired', 300, 'access_token_expired'],
    ['the idle limit passed', 3600, 'session_expired'],
    ['the absolute limit passed', 28_800, 'session_expired'],
  ])('%s', async (_, seconds, code) => {
    const cookies = world.cookies(code === 'session_expired' ? { accessTokenExpiresAt: 1_900_000_000 } : {})
    const before = world.clock.nowSeconds()
    world.clock.pass(seconds)
    const answered = await world.call('GET', '/api/orders', { cookies })
    world.clock.pass(before - world.clock.nowSeconds())
    expect([answered.status, answered.json().error_code]).toEqual([401, code])
  })

  it('sign-out on any replica', async () => {
    const sessionId = 'BBECAwQFBgcICQoLDA0ODw'
    await world.store.end({ kind: 'session', sessionId, ttlSeconds: 600 })
    const answered = await world.call('GET', '/api/orders', { cookies: world.cookies({ sessionId }) })
    expect(answered.json().error_code).toBe('session_expired')
  })
})
