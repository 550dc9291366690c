import * as oauth from 'oauth4webapi'
import { describe, expect, it } from 'vitest'
import { createMetadataSource } from '../../../shared/oauth/metadata.ts'
import { createManualClock } from '../../support/manual-clock.ts'

const issuer = 'https://login.example.com'
const good = {
  issuer,
  authorization_endpoint: `${issuer}/authorize`,
  token_endpoint: `${issuer}/token`,
  jwks_uri: `${issuer}/jwks`,
}

/** A source whose documents come from `next`; each call of it is one fetch. */
function source(next: () => object | Promise<object>, allowHttp = false) {
  const clock = createManualClock()
  const events: unknown[] = []
  let fetches = 0
  const metadata = createMetadataSource({
    issuer,
    maxAgeSeconds: 600,
    needsDpop: false,
    allowHttp,
    options: {
      [oauth.customFetch]: async () => {
        fetches += 1
        return Response.json(await next())
      },
      [oauth.allowInsecureRequests]: allowHttp,
    },
    clock,
    observe: { emit: (name, fields) => void events.push([name, fields]) },
  })
  return { metadata, clock, events, fetches: () => fetches }
}

describe('endpoints that would carry a code, a token or their keys in the clear (RFC 8414 §2)', () => {
  const names = ['authorization_endpoint', 'token_endpoint', 'jwks_uri'] as const
  const wrong = ['http://login.example.com/x', 'HTTP://login.example.com/x', 'ftp://login.example.com/x', '/x', '', 7]
  it.each(names.flatMap((name) => [...wrong, undefined].map((value) => [name, value] as const)))(
    '%s: %j',
    async (name, value) => {
      const { metadata, events } = source(() => ({ ...good, [name]: value }))
      await expect(metadata()).rejects.toMatchObject({ endpoint: 'metadata', check: name })
      expect(events).toEqual([['provider.unavailable', { endpoint: 'metadata', reason: name }]])
    },
  )

  it.each(names)('%s over http: is taken only where the settings allow it', async (name) => {
    const plain = { ...good, [name]: 'http://login.example.com/x' }
    await expect(source(() => plain, true).metadata()).resolves.toMatchObject({ [name]: plain[name] })
    await expect(source(() => ({ ...good, [name]: 'ftp://a/x' }), true).metadata()).rejects.toMatchObject({
      check: name,
    })
  })
})

it('a member without a value is not there', async () => {
  const optional = ['pushed_authorization_request_endpoint', 'code_challenge_methods_supported', 'end_session_endpoint']
  const { metadata } = source(() => ({ ...good, ...Object.fromEntries(optional.map((name) => [name, null])) }))
  expect(await metadata()).toEqual(good)
})

it.each(['login.example.com', '', ' '])('an issuer that is no URL is another one: %j', async (named) => {
  const { metadata, events } = source(() => ({ ...good, issuer: named }))
  await expect(metadata()).rejects.toMatchObject({ endpoint: 'metadata' })
  expect(events).toHaveLength(1)
})

describe('metadata that have grown old', () => {
  it('stay in use while they are renewed, one fetch at a time', async () => {
    let arrive = (_document: object) => {}
    const { metadata, clock, fetches } = source(() =>
      fetches() === 1 ? good : new Promise<object>((resolve) => (arrive = resolve)),
    )
    expect(await metadata()).toEqual(good)
    clock.pass(599)
    await metadata()
    expect(fetches()).toBe(1)
    clock.pass(1)
    expect(await metadata()).toEqual(good)
    clock.pass(60)
    expect(await metadata()).toEqual(good)
    expect(fetches()).toBe(2)
    const renewed = { ...good, token_endpoint: `${issuer}/new` }
    arrive(renewed)
    await expect.poll(metadata).toEqual(renewed)
  })

  it('are asked for at most every ten seconds while the document is away', async () => {
    const { metadata, clock, fetches } = source(() => (fetches() === 1 ? good : Promise.reject(new Error('away'))))
    await metadata()
    clock.pass(600)
    for (let second = 0; second < 20; second++) {
      for (let i = 0; i < 3; i++) expect(await metadata()).toEqual(good)
      // Lets a renewal that began end, so that the next would not join it.
      await new Promise((resolve) => setImmediate(resolve))
      clock.pass(1)
    }
    expect(fetches()).toBe(3)
  })
})
