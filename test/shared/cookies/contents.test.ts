import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { codecs } from '../../../shared/cookies/contents.ts'
import type { RecordCodec } from '../../../shared/cookies/record.ts'
import type { AccessContent, IdentityContent, LoginContent, RefreshContent } from '../../../shared/cookies/session.ts'
import { jwt, loginContent, sessionCookies, sessionFacts } from '../../support/installation.ts'

const sessionId = fc
  .uint8Array({ minLength: 16, maxLength: 16 })
  .map((bytes) => Buffer.from(bytes).toString('base64url'))
const seconds = fc.integer({ min: 0, max: 4_000_000_000 })
const words = fc.string({ maxLength: 20, unit: 'grapheme' })
const facts = {
  sessionId,
  generation: fc.nat(),
  subject: words,
  createdAt: seconds,
  absoluteExpiresAt: seconds,
  idleExpiresAt: seconds,
  authTime: seconds,
  acr: words,
  providerSessionId: words,
}
const factNames = ['sessionId', 'generation', 'subject', 'createdAt', 'absoluteExpiresAt', 'idleExpiresAt'] as const
const segment = fc.uint8Array({ maxLength: 30 }).map((bytes) => Buffer.from(bytes).toString('base64url'))
const tokens = fc.oneof(
  fc.array(segment, { minLength: 1, maxLength: 6 }).map((segments) => segments.join('.')),
  fc.string({ unit: fc.constantFrom(...'abcAB01-_.=~+/'), maxLength: 40 }),
)
const scopes = fc
  .array(fc.constantFrom('openid', 'profile', 'email', 'orders:read', 'offline_access', 'x'), { maxLength: 5 })
  .map((list) => list.join(' '))
const keyIds = fc.uint8Array({ minLength: 4, maxLength: 4 }).map((bytes) => Buffer.from(bytes).toString('hex'))
const lists = fc.array(words, { maxLength: 4 })

const access: fc.Arbitrary<AccessContent> = fc.record(
  { ...facts, accessToken: tokens, accessTokenExpiresAt: seconds, scope: scopes, dpopKeyId: keyIds },
  { requiredKeys: [...factNames, 'accessToken', 'accessTokenExpiresAt', 'scope'] },
)
const refresh: fc.Arbitrary<RefreshContent> = fc.record(
  { ...facts, refreshToken: tokens, scope: scopes, amr: lists, nonce: tokens, dpopKeyId: keyIds },
  { requiredKeys: [...factNames, 'refreshToken', 'scope', 'nonce'] },
)
const identity: fc.Arbitrary<IdentityContent> = fc.record(
  {
    ...facts,
    claims: fc.dictionary(
      words.filter((name) => name !== '__proto__'),
      fc.jsonValue().map((value): unknown => JSON.parse(JSON.stringify(value))),
    ),
    idToken: tokens,
    amr: lists,
  },
  { requiredKeys: [...factNames, 'claims'] },
)
const login: fc.Arbitrary<LoginContent> = fc.record(
  {
    state: tokens,
    nonce: tokens,
    codeVerifier: tokens,
    issuer: words,
    redirectUri: words,
    startedAt: seconds,
    scope: scopes,
    returnTo: words,
    acrValues: lists,
    maxAge: fc.nat(),
    prompt: words,
    responseMode: words,
    stepUpOf: fc.record({ sessionId, subject: words }),
    replaces: fc.record({ sessionId, subject: words, absoluteExpiresAt: seconds }),
    dpopKeyId: keyIds,
  },
  { requiredKeys: ['state', 'nonce', 'codeVerifier', 'issuer', 'redirectUri', 'startedAt', 'scope'] },
)

/** What is told of failing comes from the matcher, so the property itself says nothing. */
function comesBack<T>(codec: RecordCodec<T>, contents: fc.Arbitrary<T>): void {
  fc.assert(
    fc.property(contents, (content) => {
      expect(codec.decode(codec.encode(content))).toEqual(content)
    }),
  )
}

describe('contents come back exactly as they were', () => {
  it('access', () => comesBack(codecs.access, access))
  it('refresh', () => comesBack(codecs.refresh, refresh))
  it('identity', () => comesBack(codecs.identity, identity))
  it('login', () => comesBack(codecs.login, login))
})

describe('bytes that are no record', () => {
  it('are undefined, whatever they are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        for (const codec of Object.values(codecs)) codec.decode(Buffer.from([1, ...bytes]))
      }),
      { numRuns: 2000 },
    )
  })

  const good = codecs.access.encode(sessionCookies().access)
  it('are every beginning of a record', () => {
    for (let length = 0; length < good.length; length++) {
      expect(codecs.access.decode(good.subarray(0, length))).toBeUndefined()
    }
  })
  it('are a record and one byte more', () => {
    expect(codecs.access.decode(Buffer.concat([good, Buffer.alloc(1)]))).toBeUndefined()
  })
  it.each([0, 2, 255])('are another version (%i)', (version) => {
    expect(codecs.access.decode(Buffer.concat([Buffer.from([version]), good.subarray(1)]))).toBeUndefined()
  })
  it('are claims that are no JSON object', () => {
    const bytes = codecs.identity.encode({ ...sessionFacts(), claims: {} })
    for (const json of ['[]', '12', '{,', '""']) {
      const forged = Buffer.concat([bytes.subarray(0, -3), Buffer.from([json.length]), Buffer.from(json)])
      expect(codecs.identity.decode(forged)).toBeUndefined()
    }
  })
  it('are lengths and counts that promise gigabytes (B05)', () => {
    const huge = Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f])
    const before = good.subarray(0, 19)
    expect(codecs.access.decode(Buffer.concat([before, huge]))).toBeUndefined()
  })
  it.each([
    ['the largest exact number', [255, 255, 255, 255, 255, 255, 255, 15], Number.MAX_SAFE_INTEGER],
    ['the next one', [128, 128, 128, 128, 128, 128, 128, 16], undefined],
    ['a number without end', [128, 128, 128, 128, 128, 128, 128, 128, 0], undefined],
  ])('are numbers that nobody can count: %s', (_, digits, generation) => {
    const bytes = Buffer.concat([good.subarray(0, 18), Buffer.from(digits), good.subarray(19)])
    expect(codecs.access.decode(bytes)).toEqual(generation && { ...sessionCookies().access, generation })
  })
})

describe('what cannot come back is not written', () => {
  const write = (change: object) => () => codecs.access.encode({ ...sessionCookies().access, ...change })
  it.each([
    ['a session id of 15 bytes', { sessionId: 'AAECAwQFBgcICQoLDA0O' }],
    ['a session id that is no base64url', { sessionId: 'session' }],
    ['a session id in another spelling', { sessionId: 'AAECAwQFBgcICQoLDA0OD/' }],
    ['a fraction of a second', { authTime: 1.5 }],
    ['not a number', { accessTokenExpiresAt: Number.NaN }],
    ['half a character', { subject: '\ud800' }],
    ['a negative generation', { generation: -1 }],
    ['a fraction of a generation', { generation: 1.5 }],
    ['a generation that is not exact', { generation: 2 ** 53 }],
  ])('%s', (_, change) => {
    expect(write(change)).toThrow(RangeError)
  })
})

describe('size', () => {
  it('a JWT takes three quarters of its text', () => {
    const token = jwt(1194)
    expect(token).toHaveLength(1194)
    expect(codecs.access.encode({ ...sessionCookies().access, accessToken: token }).length).toBeLessThan(955)
  })
  it('a login attempt stays small', () => {
    expect(codecs.login.encode(loginContent()).length).toBeLessThan(190)
  })
})
