/**
 * What one access cookie costs, in microseconds of CPU: `node bench/cookie-open.ts`.
 *
 * Rounds of all variants alternate, so that a busy machine is busy for all of them; the least of the rounds is reported,
 * since whatever else runs can only add. AES-256-GCM and XAES-256-GCM of the same
 * bytes are the yardsticks.
 */
import { createCipheriv, createDecipheriv, createSecretKey, randomBytes } from 'node:crypto'
import { systemClock } from '../shared/clock.ts'
import { createCatalogue } from '../shared/cookies/catalogue.ts'
import { parseCookieHeader, type RequestCookies } from '../shared/cookies/header.ts'
import { createCookieReader } from '../shared/cookies/open.ts'
import { createCookieWriter } from '../shared/cookies/write.ts'
import { generateKeyRing } from '../shared/crypto/key-ring-edit.ts'
import { createKeyRing, fixedKeys } from '../shared/crypto/key-ring.ts'
import { systemRandomBytes } from '../shared/crypto/random.ts'
import { createXaesKey } from '../shared/crypto/xaes.ts'

const rounds = 15
const cookiesPerRound = 1500

const settings = {
  cookies: { prefix: 'th', refreshPath: 'root', maxTotalBytes: 14_336, idTokenHint: false, insecurePlain: false },
  agent: { path: '/oauth-agent' },
  login: { attemptSeconds: 600, maxAttempts: 5, navigation: { enabled: false, responseMode: 'query' } },
} as const
const catalogue = createCatalogue(settings)
const parts = {
  keys: fixedKeys(createKeyRing(generateKeyRing({ random: systemRandomBytes, clock: systemClock }))),
  catalogue,
  binding: { clientId: 'spa', issuer: 'https://login.example.com', publicOrigin: 'https://www.example.com' },
  clock: systemClock,
  random: systemRandomBytes,
  settings,
  observe: { emit: () => {} },
}
const reader = createCookieReader(parts)
const writer = createCookieWriter(parts)

const segment = (bytes: number): string => randomBytes(bytes).toString('base64url')
/** 1,194 characters, as an access token with a signature of RSA-2048 has. */
const accessToken = `${segment(47)}.${segment(592)}.${segment(256)}`

/** The header of a signed-in browser as the server hands it over: one flat string. */
function newHeader(): string {
  const now = systemClock.nowSeconds()
  const facts = {
    sessionId: segment(16),
    generation: 1,
    subject: 'alice12345',
    createdAt: now,
    absoluteExpiresAt: now + 28_800,
    idleExpiresAt: now + 3600,
  }
  const lines = writer.setSession(
    {
      access: { ...facts, accessToken, accessTokenExpiresAt: now + 300, scope: 'openid profile' },
      refresh: { ...facts, refreshToken: segment(32), scope: 'openid profile', nonce: segment(32) },
      identity: { ...facts, claims: { sub: facts.subject, name: 'Alice' } },
    },
    { ours: new Map(), others: undefined },
  )
  const pairs = ['theme=dark', ...lines.map((line) => line.slice(0, line.indexOf(';'))), 'lang=en']
  return Buffer.from(pairs.join('; '), 'latin1').toString('latin1')
}

const key = createSecretKey(randomBytes(32))
const nonce = randomBytes(12)
const plaintext = randomBytes(950)
const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: 16 })
const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final()])
const tag = cipher.getAuthTag()

function openPlainGcm(): void {
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: 16 })
  decipher.setAuthTag(tag)
  decipher.update(ciphertext)
  decipher.final()
}

const xaes = createXaesKey(key)
const longNonce = randomBytes(24)
const associated = randomBytes(120)
const sealed = xaes.seal(longNonce, plaintext, associated)

const seenHeader = newHeader()
const seen = parseCookieHeader(seenHeader, catalogue)

const variants: Readonly<Record<string, () => readonly (() => unknown)[]>> = {
  plain_gcm: () => Array.from({ length: cookiesPerRound }, () => openPlainGcm),
  plain_xaes: () => Array.from({ length: cookiesPerRound }, () => () => xaes.open(longNonce, sealed, associated)),
  open_cold: () => {
    const unseen: RequestCookies[] = Array.from({ length: cookiesPerRound }, () =>
      parseCookieHeader(newHeader(), catalogue),
    )
    return unseen.map((cookies) => () => reader.access(cookies))
  },
  open_seen: () => Array.from({ length: 10 * cookiesPerRound }, () => () => reader.access(seen)),
  read_header: () => Array.from({ length: 10 * cookiesPerRound }, () => () => parseCookieHeader(seenHeader, catalogue)),
}

const least: Record<string, number> = {}
for (let round = 0; round < rounds; round++) {
  for (const [name, prepare] of Object.entries(variants)) {
    const runs = prepare()
    const before = process.cpuUsage()
    for (const run of runs) run()
    const { user, system } = process.cpuUsage(before)
    least[name] = Math.min(least[name] ?? Number.POSITIVE_INFINITY, (user + system) / runs.length)
  }
}

const access = reader.access(seen)
const pair = seenHeader.split('; ')[1] ?? ''
console.log(
  JSON.stringify(
    {
      node: process.version,
      unit: 'microseconds of CPU',
      ...Object.fromEntries(Object.entries(least).map(([name, cost]) => [name, Math.round(cost * 100) / 100])),
      access_cookie_characters: pair.length,
      token_characters: access.kind === 'opened' ? access.content.accessToken.length : 0,
    },
    null,
    2,
  ),
)
