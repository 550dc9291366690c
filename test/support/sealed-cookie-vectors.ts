import { createHash, createSecretKey } from 'node:crypto'
import { codecs } from '../../shared/cookies/contents.ts'
import type { RequestCookies } from '../../shared/cookies/header.ts'
import type { SessionCookies } from '../../shared/cookies/session.ts'
import { deriveKeyRing } from '../../shared/crypto/key-ring-edit.ts'
import { formatKeyRingFile, type KeyEntries } from '../../shared/crypto/key-ring-file.ts'
import { createKeyRing, fixedKeys, proxyPurposes } from '../../shared/crypto/key-ring.ts'
import { deriveKeyId, type SealPurpose } from '../../shared/crypto/purpose-keys.ts'
import { createSealer } from '../../shared/crypto/seal.ts'
import {
  binding,
  browserAfter,
  cookieSettings,
  createInstallation,
  jwt,
  loginContent,
  noCookies,
  seededRandom,
  sessionCookies,
  sessionFacts,
} from './installation.ts'

interface Value {
  readonly name: string
  readonly cookies: Readonly<Record<string, string>>
  readonly open: SealPurpose
  readonly id?: string
  readonly expect: Readonly<Record<string, unknown>>
}

export interface SealedCookieVectors {
  readonly key_ring: unknown
  readonly proxy_key_ring: unknown
  readonly binding: Readonly<Record<string, string>>
  readonly prefix: string
  readonly values: readonly Value[]
  readonly headers: readonly { readonly header: string; readonly expect: Readonly<Record<string, unknown>> }[]
}

/** Two keys that anyone can compute: SHA-256 of a sentence. */
export const vectorKeys: KeyEntries = ['first', 'second'].map((word) => {
  const master = createSecretKey(createHash('sha256').update(`token-handler test vectors, ${word} key`).digest())
  return { id: deriveKeyId(master), createdAt: '2026-01-31T12:00:00Z', material: { kind: 'master', master } }
})

const at = '__Host-Http-th-at'
const loginId = 'EBESExQVFhcYGRobHB0eHw'

/** The vectors of FORMAT.md, the same at each call. */
export function makeSealedCookieVectors(): SealedCookieVectors {
  const [first, second] = vectorKeys
  const sealing = (entries: KeyEntries, seed: string, change: Partial<typeof binding> = {}) =>
    createInstallation({
      keys: fixedKeys(createKeyRing(entries)),
      random: seededRandom(`vectors ${seed}`),
      settings: cookieSettings({ maxTotalBytes: 14_336 }),
      binding: change,
    }).writer
  const cookiesOf = (seed: string, session: SessionCookies, entries = vectorKeys, change = {}): RequestCookies =>
    browserAfter(sealing(entries, seed, change).setSession(session, noCookies))
  const pick = ({ ours }: RequestCookies, suffix: string) =>
    Object.fromEntries([...ours].filter(([name]) => name.startsWith(`__Host-Http-th-${suffix}`)))
  const opened = (content: object, entry = first) => ({ kind: 'opened', key_id: entry?.id, content })
  const unreadable = (reason: string) => ({ kind: 'unreadable', reason })

  const plain = sessionCookies({ accessToken: jwt(300) })
  const cookies = cookiesOf('plain', plain)
  const value = cookies.ours.get(at) ?? ''
  const long = sessionCookies({ accessToken: jwt(9000) })
  const chunks = pick(cookiesOf('chunks', long), 'at')
  const full = {
    ...sessionFacts({ generation: 300, authTime: 1_799_999_990, acr: 'urn:example:mfa' }),
    providerSessionId: 'sid-é',
  }
  const everything: SessionCookies = {
    access: {
      ...full,
      accessToken: 'opaque~token',
      accessTokenExpiresAt: 1_800_000_600,
      scope: 'openid orders:read offline_access',
    },
    refresh: { ...full, refreshToken: 'a.b.c.d.e.f', scope: '', amr: ['pwd', 'otp'], nonce: 'AAECAwQFBgcICQoLDA0ODw' },
    identity: { ...full, claims: { sub: 'alice12345', name: 'Ålice' }, idToken: jwt(120), amr: [] },
  }
  const rich = cookiesOf('everything', everything)
  const attempt = loginContent({ returnTo: '/orders?page=2', acrValues: ['urn:example:mfa'], maxAge: 0 })
  const stepUp = { ...attempt, stepUpOf: { sessionId: sessionFacts().sessionId, subject: 'alice12345' } }
  const login = browserAfter(sealing(vectorKeys, 'login').setLogin(loginId, stepUp, noCookies))
  const provedBy = { dpopKeyId: first?.id ?? '' }
  const bound: SessionCookies = {
    access: { ...plain.access, ...provedBy },
    refresh: { ...sessionFacts(), refreshToken: 'rt-1.a', scope: 'openid profile', nonce: 'n-0S6_WzA2Mj', ...provedBy },
    identity: plain.identity,
  }
  const proved = cookiesOf('bound', bound)
  const boundAttempt = browserAfter(
    sealing(vectorKeys, 'bound login').setLogin(loginId, { ...attempt, ...provedBy }, noCookies),
  )
  const bytes = Buffer.from(value, 'base64url')
  const changed = (change: (copy: Buffer) => void) => {
    const copy = Buffer.from(bytes)
    change(copy)
    return { [at]: copy.toString('base64url') }
  }
  const access = (name: string, sent: Record<string, string>, expected: object): Value => ({
    name,
    cookies: sent,
    open: 'access',
    expect: { ...expected },
  })

  const keys = fixedKeys(createKeyRing(vectorKeys))
  const sealRecord = createSealer({ keys, binding, random: seededRandom('vectors records') })({
    name: at,
    purpose: 'access',
  })
  const early = { ...plain.access, accessTokenExpiresAt: plain.access.createdAt - 7, idleExpiresAt: 7 }
  const record = codecs.access.encode({ ...plain.access, accessToken: 'aQ.aQ.aQ.aQ.aQ' })
  const segments = record.indexOf(Buffer.from([5, 1, 0x69]))
  const replaced = (from: number, to: number, ...by: number[]) =>
    Buffer.concat([record.subarray(0, from), Buffer.from(by), record.subarray(to)])
  const noRecord = (name: string, wrong: Buffer) => access(name, { [at]: sealRecord(wrong) }, unreadable('record'))

  return {
    key_ring: JSON.parse(formatKeyRingFile(vectorKeys)),
    proxy_key_ring: JSON.parse(formatKeyRingFile(deriveKeyRing(vectorKeys, proxyPurposes))),
    binding: { client_id: binding.clientId, issuer: binding.issuer, public_origin: binding.publicOrigin },
    prefix: 'th',
    values: [
      access('an access token in JWT form', { [at]: value }, opened(plain.access)),
      access('an opaque access token, and every optional field', pick(rich, 'at'), opened(everything.access)),
      access(
        'sealed with the second key of the ring',
        pick(cookiesOf('second', plain, second === undefined ? [] : [second]), 'at'),
        opened(plain.access, second),
      ),
      access('spread over three cookies', chunks, opened(long.access)),
      { name: 'a refresh token', cookies: pick(cookies, 'rt'), open: 'refresh', expect: opened(plain.refresh ?? {}) },
      {
        name: 'a refresh token, every optional field',
        cookies: pick(rich, 'rt'),
        open: 'refresh',
        expect: opened(everything.refresh ?? {}),
      },
      { name: 'claims', cookies: pick(cookies, 'id'), open: 'identity', expect: opened(plain.identity) },
      {
        name: 'claims and an ID token',
        cookies: pick(rich, 'id'),
        open: 'identity',
        expect: opened(everything.identity),
      },
      { name: 'a login attempt', cookies: pick(login, 'login'), open: 'login', id: loginId, expect: opened(stepUp) },
      access('an access token that is bound to a DPoP key', pick(proved, 'at'), opened(bound.access)),
      {
        name: 'a refresh token that was proved',
        cookies: pick(proved, 'rt'),
        open: 'refresh',
        expect: opened(bound.refresh ?? {}),
      },
      {
        name: 'a login attempt with a DPoP key',
        cookies: pick(boundAttempt, 'login'),
        open: 'login',
        id: loginId,
        expect: opened({ ...attempt, ...provedBy }),
      },
      access('nothing', {}, { kind: 'absent' }),
      access(
        'a refresh cookie in the place of an access cookie',
        { [at]: cookies.ours.get('__Host-Http-th-rt') ?? '' },
        unreadable('tampered'),
      ),
      access(
        'a login cookie in the place of an access cookie',
        { [at]: [...login.ours.values()][0] ?? '' },
        unreadable('tampered'),
      ),
      access(
        'of another client',
        pick(cookiesOf('client', plain, vectorKeys, { clientId: 'other' }), 'at'),
        unreadable('tampered'),
      ),
      access(
        'of another issuer',
        pick(cookiesOf('issuer', plain, vectorKeys, { issuer: 'https://login.example.com/' }), 'at'),
        unreadable('tampered'),
      ),
      access(
        'of another origin',
        pick(cookiesOf('origin', plain, vectorKeys, { publicOrigin: 'https://www.example.org' }), 'at'),
        unreadable('tampered'),
      ),
      access(
        'one bit of the nonce changed',
        changed((copy) => copy.writeUInt8(copy.readUInt8(5) ^ 1, 5)),
        unreadable('tampered'),
      ),
      access(
        'one bit of the ciphertext changed',
        changed((copy) => copy.writeUInt8(copy.readUInt8(29) ^ 1, 29)),
        unreadable('tampered'),
      ),
      access(
        'one bit of the tag changed',
        changed((copy) => copy.writeUInt8(copy.readUInt8(copy.length - 1) ^ 0x80, copy.length - 1)),
        unreadable('tampered'),
      ),
      access(
        'the id of the other key',
        changed((copy) => copy.write(second?.id ?? '', 1, 'hex')),
        unreadable('tampered'),
      ),
      access(
        'the id of a key that is not in the ring',
        changed((copy) => copy.write('ffffffff', 1, 'hex')),
        unreadable('unknown_key'),
      ),
      access(
        'another version',
        changed((copy) => copy.writeUInt8(2, 0)),
        unreadable('unknown_version'),
      ),
      access('the tag cut to 12 bytes', { [at]: bytes.subarray(0, -4).toString('base64url') }, unreadable('tampered')),
      access('44 bytes', { [at]: bytes.subarray(0, 44).toString('base64url') }, unreadable('malformed')),
      access('padding', { [at]: `${value}=` }, unreadable('malformed')),
      access('a stranger in front', { [at]: `!${value}` }, unreadable('malformed')),
      access('quotes', { [at]: `"${value}"` }, unreadable('malformed')),
      access('empty', { [at]: '' }, unreadable('malformed')),
      access('the middle chunk is missing', without(chunks, `${at}.1`), unreadable('chunks')),
      access('the last chunk is missing', without(chunks, `${at}.2`), unreadable('chunks')),
      access('the first chunk is missing', without(chunks, at), unreadable('chunks')),
      access('one chunk too many', { ...chunks, [`${at}.3`]: 'AAAA' }, unreadable('chunks')),
      access('a chunk beside a whole value', { [at]: value, [`${at}.1`]: 'AAAA' }, unreadable('chunks')),
      access(
        'two chunks exchanged',
        { ...chunks, [`${at}.1`]: chunks[`${at}.2`] ?? '', [`${at}.2`]: chunks[`${at}.1`] ?? '' },
        unreadable('chunks'),
      ),
      access('a count that is no number', { [at]: 'x.AAAA' }, unreadable('chunks')),
      access('chunks cut one character early', cutEarly(chunks), unreadable('chunks')),
      access('a chunk that is too long', merged(chunks), unreadable('chunks')),
      access('times before the sign-in', { [at]: sealRecord(codecs.access.encode(early)) }, opened(early)),
      noRecord('a record of another version', replaced(0, 1, 2)),
      noRecord('a record that is cut off', record.subarray(0, -1)),
      noRecord('a record and one byte more', replaced(record.length, record.length, 0)),
      noRecord('a generation of 2^53', replaced(18, 19, 128, 128, 128, 128, 128, 128, 128, 16)),
      noRecord('a generation of nine bytes', replaced(18, 19, 129, 128, 128, 128, 128, 128, 128, 128, 0)),
      noRecord('a token of six segments', replaced(segments, segments + 1, 6, 1, 0x69)),
      noRecord('a scope token that is not in the list', replaced(record.length - 1, record.length, 7)),
    ],
    headers: [
      { header: `theme=dark; ${at}=v; a=b`, expect: { ours: { [at]: 'v' }, others: 'theme=dark; a=b' } },
      { header: `a=1;${at}=v=\t;b="x y"; a=2`, expect: { ours: { [at]: 'v=' }, others: 'a=1; b="x y"; a=2' } },
      {
        header: `${at}=1; __Host-Http-th-rt=2; __Http-th-id=3`,
        expect: { ours: { [at]: '1', '__Host-Http-th-rt': '2', '__Http-th-id': '3' } },
      },
      {
        header: `__Host-Http-th2-at=1; __host-http-th-at=2; x-${at}=3`,
        expect: { ours: {}, others: `__Host-Http-th2-at=1; __host-http-th-at=2; x-${at}=3` },
      },
      {
        header: `__%48ost-Http-th-at=evil; \xa0${at}=evil`,
        expect: { ours: {}, others: `__%48ost-Http-th-at=evil; \xa0${at}=evil` },
      },
      {
        header: `$Version=1; p="x; ${at}=v; q=end"`,
        expect: { ours: { [at]: 'v' }, others: '$Version=1; p="x; q=end"' },
      },
      { header: `${at}=good; a=b; ${at}=bad`, expect: { error: 'ambiguous_cookie' } },
      { header: `${at}; a=b`, expect: { ours: {}, others: 'a=b' } },
      { header: ';;;;=;', expect: { ours: {} } },
      { header: '', expect: { ours: {} } },
    ],
  }
}

function without(cookies: Readonly<Record<string, string>>, name: string): Record<string, string> {
  return Object.fromEntries(Object.entries(cookies).filter(([other]) => other !== name))
}

/** The same value with its cuts moved by one character, as no writer makes it. */
function cutEarly(cookies: Readonly<Record<string, string>>): Record<string, string> {
  const [first = '', second = '', third = ''] = Object.values(cookies)
  return {
    [at]: first.slice(0, -1),
    [`${at}.1`]: `${first.slice(-1)}${second.slice(0, -1)}`,
    [`${at}.2`]: `${second.slice(-1)}${third}`,
  }
}

/** The same value in two chunks, the second longer than any browser takes. */
function merged(cookies: Readonly<Record<string, string>>): Record<string, string> {
  const [first = '', second = '', third = ''] = Object.values(cookies)
  return { [at]: `2${first.slice(1)}`, [`${at}.1`]: `${second}${third}` }
}
