import { createHash } from 'node:crypto'
import { createCatalogue, type CookieSettings } from '../../shared/cookies/catalogue.ts'
import { parseCookieHeader, type RequestCookies } from '../../shared/cookies/header.ts'
import { createCookieReader } from '../../shared/cookies/open.ts'
import type { AccessContent, LoginContent, SessionCookies, SessionFacts } from '../../shared/cookies/session.ts'
import { createCookieWriter } from '../../shared/cookies/write.ts'
import { generateKeyRing } from '../../shared/crypto/key-ring-edit.ts'
import { createKeyRing, fixedKeys, type KeySource } from '../../shared/crypto/key-ring.ts'
import { type RandomBytes, systemRandomBytes } from '../../shared/crypto/random.ts'
import type { Binding } from '../../shared/crypto/seal.ts'
import type { EventName, Observe } from '../../shared/observe/events.ts'
import { createManualClock } from './manual-clock.ts'

/** Bytes that look random, differ with each call and are the same in each run with the same seed. */
export function seededRandom(seed: string): RandomBytes {
  let calls = 0
  return (size) => createHash('shake128', { outputLength: size }).update(`${seed} ${calls++}`).digest()
}

export const binding: Binding = {
  clientId: 'spa',
  issuer: 'https://login.example.com',
  publicOrigin: 'https://www.example.com',
}

/** Cookie settings with their defaults, and changes to them. */
export function cookieSettings(change: Partial<CookieSettings['cookies']> = {}): CookieSettings {
  return {
    cookies: {
      prefix: 'th',
      refreshPath: 'root',
      maxTotalBytes: 7168,
      idTokenHint: false,
      insecurePlain: false,
      ...change,
    },
    agent: { path: '/oauth-agent' },
    login: { attemptSeconds: 600, maxAttempts: 5, navigation: { enabled: false, responseMode: 'query' } },
  }
}

/** A ring of one key; each seed has its own. */
export function testKeys(seed = 'ring') {
  return generateKeyRing({ random: seededRandom(seed), clock: createManualClock() })
}

interface Change {
  readonly keys?: KeySource
  readonly binding?: Partial<Binding>
  readonly settings?: CookieSettings
  readonly random?: RandomBytes
}

/** Everything that reads and writes cookies, with a clock that stands still and the events that were told. */
export function createInstallation(change: Change = {}) {
  const events: { name: EventName; fields: Readonly<Record<string, unknown>> }[] = []
  const observe: Observe = { emit: (name, fields) => void events.push({ name, fields }) }
  const settings = change.settings ?? cookieSettings()
  const parts = {
    keys: change.keys ?? fixedKeys(createKeyRing(testKeys())),
    catalogue: createCatalogue(settings),
    binding: { ...binding, ...change.binding },
    clock: createManualClock(),
    random: change.random ?? systemRandomBytes,
    settings,
    observe,
  }
  return { ...parts, events, reader: createCookieReader(parts), writer: createCookieWriter(parts) }
}

export const noCookies: RequestCookies = { ours: new Map(), others: undefined }

/** The request cookies of a browser that took these Set-Cookie values, in order, on top of `before`. */
export function browserAfter(setCookies: readonly string[], before: RequestCookies = noCookies): RequestCookies {
  const ours = new Map(before.ours)
  for (const line of setCookies) {
    const [pair = ''] = line.split(';')
    const equals = pair.indexOf('=')
    const name = pair.slice(0, equals)
    if (line.includes('; Max-Age=0;')) ours.delete(name)
    else ours.set(name, pair.slice(equals + 1))
  }
  return { ours, others: undefined }
}

/** `Cookie` header of these cookies. */
export function cookieHeader(cookies: RequestCookies): string {
  return [...cookies.ours].map(([name, value]) => `${name}=${value}`).join('; ')
}

/** Reads a header under the default settings. */
export function readHeader(header: string | undefined): RequestCookies {
  return parseCookieHeader(header, createCatalogue(cookieSettings()))
}

export function sessionFacts(change: Partial<SessionFacts> = {}): SessionFacts {
  return {
    sessionId: 'AAECAwQFBgcICQoLDA0ODw',
    generation: 1,
    subject: 'alice12345',
    createdAt: 1_800_000_000,
    absoluteExpiresAt: 1_800_028_800,
    idleExpiresAt: 1_800_003_600,
    ...change,
  }
}

/** The cookies of a signed-in browser. */
export function sessionCookies(change: Partial<AccessContent> = {}, refreshToken = 'rt-1.a'): SessionCookies {
  const facts = sessionFacts()
  return {
    access: {
      ...facts,
      accessToken: jwt(1194),
      accessTokenExpiresAt: 1_800_000_300,
      scope: 'openid profile',
      ...change,
    },
    refresh: { ...facts, refreshToken, scope: 'openid profile', nonce: 'n-0S6_WzA2Mj' },
    identity: { ...facts, claims: { sub: facts.subject, name: 'Alice', email_verified: true } },
  }
}

export function loginContent(change: Partial<LoginContent> = {}): LoginContent {
  return {
    state: 'af0ifjsldkj0af0ifjsldkj0af0ifjsldkj0af0ifjs',
    nonce: 'n-0S6_WzA2Mjn-0S6_WzA2Mjn-0S6_WzA2Mjn-0S6_W',
    codeVerifier: 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk',
    issuer: binding.issuer,
    redirectUri: 'https://www.example.com/callback',
    startedAt: 1_800_000_000,
    scope: 'openid profile',
    ...change,
  }
}

/** A token of exactly `length` characters in the shape of a signed JWT; it is nobody's. */
export function jwt(length: number): string {
  const header = Buffer.from('{"alg":"RS256","kid":"abcdefgh","typ":"at+jwt"}').toString('base64url')
  const signature = seededRandom('signature')(Math.min(256, Math.floor(length / 8))).toString('base64url')
  const rest = length - header.length - signature.length - 2
  // No canonical segment has a length of 4n + 1.
  const pad = rest % 4 === 1 ? 1 : 0
  const payload = seededRandom('payload')(Math.floor(((rest - pad) * 3) / 4)).toString('base64url')
  return `${header}.${payload}.${signature}${'A'.repeat(pad)}`
}
