import { describe, expect, it } from 'vitest'
import { parseKeyRing } from '../../shared/crypto/key-ring.ts'
import { schema } from '../../shared/config/schema.ts'
import { ConfigError } from '../../shared/config/problem.ts'
import { browserAfter, createInstallation, noCookies, sessionCookies } from '../support/installation.ts'
import { createManualClock } from '../support/manual-clock.ts'
import { parse, pathsOf, problemsOf, settingsFile } from '../shared/config/settings.ts'

/** One wrong letter, a letter too many, one too few, two swapped. */
const misspellings = (name: string): string[] => [
  `${name}s`,
  name.slice(1),
  name.slice(0, -1),
  `${name.slice(0, 2)}x${name.slice(3)}`,
  `${name.slice(0, -2)}${name.at(-1)}${name.at(-2)}`,
]

describe('settings that open a door', () => {
  it.each([
    ['no client secret', { client: { id: 'app', authentication: 'client_secret_basic', secret: undefined } }],
    ['an empty client secret', { client: { id: 'app', authentication: 'client_secret_basic', secret: '' } }],
    ['no authentication at all', { client: { id: 'app', authentication: undefined, secret: undefined } }],
    ['a public client', { client: { id: 'app', authentication: 'none', secret: undefined } }],
    ['no key file', { keys: undefined }],
    ['an empty key file name', { keys: { file: '' } }],
  ])('A13: %s is refused, there is no default', (_, change) => {
    expect(problemsOf(settingsFile(change))).not.toEqual([])
  })

  it.each(
    ['__proto__', 'constructor', 'toString', 'hasOwnProperty'].flatMap((name) =>
      ['x', '{ a: b }', '[1]', 'null'].map((value) => [name, value]),
    ),
  )('A13: %s: %s, which every object inherits, is no setting', (name, value) => {
    const [outside, inside] = [`${settingsFile()}\n${name}: ${value}\n`, `client:\n  ${name}: ${value}`]
    expect(pathsOf(outside)).toEqual([name])
    expect(pathsOf(settingsFile().replace('client:', inside))).toEqual([`client.${name}`])
  })

  it('A13: no default of any setting is a secret', () => {
    const defaults = JSON.stringify(parse(settingsFile()))
    expect(defaults).not.toMatch(/(?:password|passphrase|changeme|default-?key|[0-9a-f]{32}|[A-Za-z0-9_-]{43})/i)
  })

  it.each(['', '{}', '[]', 'null', '{"version":1,"keys":[]}', 'not json'])(
    'A13: the key ring %j starts nothing',
    (text) => {
      expect(() => parseKeyRing(text)).toThrow(ConfigError)
    },
  )

  const sections = Object.keys(schema.shape)
  it.each(sections.flatMap((name) => misspellings(name).map((wrong) => [wrong, name] as const)))(
    'N04: the setting %s is refused, and %s is suggested',
    (wrong, right) => {
      const found = problemsOf(settingsFile({ [wrong]: {} })).find(({ path }) => path === wrong)
      expect(found?.remedy).toContain(right)
    },
  )
  it.each([
    ['cookies', 'cookie_prefix'],
    ['cookies', 'secure'],
    ['cookies', 'same_site'],
    ['session', 'idle_second'],
    ['login', 'scopes'],
    ['csrf', 'tokens'],
    ['proxy', 'route'],
  ])('N04: within %s, %s is refused', (section, name) => {
    expect(pathsOf(settingsFile({ [section]: { [name]: 'x' } }))).toEqual([`${section}.${name}`])
  })

  it.each([
    ['a public origin over http', { public_origin: 'http://www.example.com' }],
    [
      'a public origin over http, said to be insecure',
      { public_origin: 'http://www.example.com', insecure_allow_http: true },
    ],
    ['an issuer over http', { authorization_server: { issuer: 'http://login.example.com' } }],
    ['a weakening on a public origin', { insecure_allow_http: true }],
    [
      'a name that only begins like localhost',
      { public_origin: 'http://localhost.example.com', insecure_allow_http: true },
    ],
    ['a name that only ends like localhost', { public_origin: 'http://evillocalhost', insecure_allow_http: true }],
    [
      'an address that only begins like loopback',
      { public_origin: 'http://127.0.0.1.example.com', insecure_allow_http: true },
    ],
  ])('N10: %s is refused', (_, change) => {
    expect(problemsOf(settingsFile(change))).not.toEqual([])
  })
})

describe('time', () => {
  it.each([
    ['a second before 2^31', 2 ** 31 - 1],
    ['a second after 2^31', 2 ** 31],
    ['2038-01-20', 2_147_558_400],
    ['2100-01-01', 4_102_444_800],
    ['2^32', 2 ** 32],
  ])('N05: cookies of %s come back with their times', (_, now) => {
    const { reader, writer } = createInstallation()
    const facts = { createdAt: now, absoluteExpiresAt: now + 28_800, idleExpiresAt: now + 3600, authTime: now - 60 }
    const cookies = sessionCookies({ ...facts, accessTokenExpiresAt: now + 300 })
    const opened = reader.access(browserAfter(writer.setSession(cookies, noCookies)))
    expect(opened).toMatchObject({ kind: 'opened', content: { ...facts, accessTokenExpiresAt: now + 300 } })
  })

  it('N06: a clock that jumps ahead and back ends nothing by itself', () => {
    const clock = createManualClock()
    const { reader, writer } = createInstallation()
    const cookies = browserAfter(writer.setSession(sessionCookies(), noCookies))
    for (const jump of [3600, -3600, 86_400, -86_400]) {
      clock.pass(jump)
      expect(reader.access(cookies)).toMatchObject({ kind: 'opened' })
    }
  })
})
