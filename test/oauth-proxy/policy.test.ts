import { describe, expect, it } from 'vitest'
import { TokenHandlerError } from '../../shared/errors.ts'
import { checkPolicy, type Requirement } from '../../oauth-proxy/policy.ts'
import { sessionCookies } from '../support/installation.ts'

const now = 1_800_000_100
const token = (claims: object) => `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.c2ln`

function verdict(change: Parameters<typeof sessionCookies>[0] | undefined, rule: Partial<Requirement>) {
  const require: Requirement = { scope: [], acr: [], claims: {}, ...rule }
  try {
    checkPolicy(change === undefined ? undefined : sessionCookies(change).access, require, now)
    return 'pass'
  } catch (error) {
    if (!(error instanceof TokenHandlerError)) throw error
    return { code: error.code, ...error.fields }
  }
}

describe('authentication (RFC 9470)', () => {
  const weak = (fields: object) => ({ code: 'insufficient_user_authentication', ...fields })

  it.each<[string, Parameters<typeof sessionCookies>[0], Partial<Requirement>, unknown]>([
    ['one of the levels', { acr: 'silver' }, { acr: ['gold', 'silver'] }, 'pass'],
    ['another level', { acr: 'bronze' }, { acr: ['gold', 'silver'] }, weak({ acr_values: 'gold silver' })],
    ['no level', {}, { acr: ['gold'] }, weak({ acr_values: 'gold' })],
    ['a level by prefix', { acr: 'gold+' }, { acr: ['gold'] }, weak({ acr_values: 'gold' })],
    ['fresh', { authTime: now - 60 }, { maxAge: 60 }, 'pass'],
    ['stale', { authTime: now - 61 }, { maxAge: 60 }, weak({ max_age: 60 })],
    ['of unknown age', {}, { maxAge: 60 }, weak({ max_age: 60 })],
    ['max_age 0 asks for a sign-in now', { authTime: now }, { maxAge: 0 }, 'pass'],
    [
      'both are told when one fails',
      { acr: 'gold', authTime: 0 },
      { acr: ['gold'], maxAge: 9 },
      weak({ acr_values: 'gold', max_age: 9 }),
    ],
  ])('%s', (_, change, rule, expected) => {
    expect(verdict(change, rule)).toEqual(expected)
  })
})

it.each<[string, Parameters<typeof sessionCookies>[0]]>([
  ['acr', { acr: 'bronze', authTime: now }],
  ['acr', { acr: 'bronze', authTime: 0 }],
  ['max_age', { acr: 'gold', authTime: 0 }],
])('the log is told that %s was not met by %j', (check, change) => {
  const { access } = sessionCookies(change)
  const run = () => checkPolicy(access, { scope: [], acr: ['gold'], claims: {}, maxAge: 60 }, now)
  expect(run).toThrow(expect.objectContaining({ detail: { check } }))
})

describe('scope', () => {
  it.each([
    ['a b', ['a'], 'pass'],
    ['a b', ['b', 'a'], 'pass'],
    ['a b', ['c'], { code: 'insufficient_scope', scope: 'c' }],
    ['a b', ['a', 'c'], { code: 'insufficient_scope', scope: 'a c' }],
    ['abc', ['a'], { code: 'insufficient_scope', scope: 'a' }],
    ['', ['a'], { code: 'insufficient_scope', scope: 'a' }],
  ])('%j granted, %j required', (scope, required, expected) => {
    expect(verdict({ scope }, { scope: required })).toEqual(expected)
  })
})

describe('claims of the access token', () => {
  const denied = { code: 'access_denied_by_policy' }

  it.each<[object, Requirement['claims'], unknown]>([
    [{ role: 'admin' }, { role: 'admin' }, 'pass'],
    [{ role: 'user' }, { role: 'admin' }, denied],
    [{}, { role: 'admin' }, denied],
    [{ role: ['user', 'admin'] }, { role: 'admin' }, 'pass'],
    [{ role: 'user' }, { role: ['admin', 'user'] }, 'pass'],
    [{ role: ['guest'] }, { role: ['admin', 'user'] }, denied],
    [{ level: 3 }, { level: 3 }, 'pass'],
    [{ level: '3' }, { level: 3 }, denied],
    [{ verified: true }, { verified: true }, 'pass'],
    [{ verified: 'true' }, { verified: true }, denied],
    [{ a: 1, b: 2 }, { a: 1, b: 3 }, denied],
    [{ x: 1 }, { constructor: 'Object' }, denied],
  ])('%j against %j', (claims, rule, expected) => {
    expect(verdict({ accessToken: token(claims) }, { claims: rule })).toEqual(expected)
  })

  // The rules are a domain, a name, a flag and a number; each value holds one of them, looks like it, or counts as it.
  it.each<[unknown, string | boolean | number]>([
    ['attacker@evil.example@example.com', 'example.com'],
    ['evil.example.com', 'example.com'],
    ['example.com.evil.example', 'example.com'],
    ['admin,user', 'admin'],
    ['user admin', 'admin'],
    [' admin', 'admin'],
    ['admin\0', 'admin'],
    ['Admin', 'admin'],
    ['\uff41dmin', 'admin'],
    ['*', 'admin'],
    [['user,admin'], 'admin'],
    [[['admin']], 'admin'],
    [{ admin: true }, 'admin'],
    [{ 0: 'admin', length: 1 }, 'admin'],
    [1, true],
    ['true', true],
    [[], false],
    [null, false],
    ['3', 3],
    [true, 1],
    ['', 0],
  ])('C32 %j is not %j', (value, rule) => {
    expect(verdict({ accessToken: token({ claim: value }) }, { claims: { claim: rule } })).toEqual(denied)
    if (typeof rule === 'boolean') return
    expect(verdict({ accessToken: token({ claim: value }) }, { claims: { claim: [rule] } })).toEqual(denied)
  })

  it.each([
    'opaque-token',
    'a.b',
    'a.!!!.c',
    ...['[]', 'null', '"admin"'].map((json) => `a.${Buffer.from(json).toString('base64url')}.c`),
    // JWTs have three parts (RFC 7519 §3.1, RFC 7515 §7.1); whatever has others is read by nobody else as one.
    token({ role: 'admin' }).replace(/\.c2ln$/, ''),
    `${token({ role: 'admin' })}.d.e`,
  ])('a token without claims meets no rule: %s', (accessToken) => {
    expect(verdict({ accessToken }, { claims: { role: 'admin' } })).toEqual(denied)
  })
})

it('a visitor meets the empty requirement only', () => {
  expect(verdict(undefined, {})).toBe('pass')
  expect(verdict(undefined, { scope: ['a'] })).toEqual({ code: 'session_missing' })
})
