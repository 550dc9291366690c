import { describe, expect, it } from 'vitest'
import { codecs } from '../../../shared/cookies/contents.ts'
import { createOpenedCache } from '../../../shared/cookies/opened-cache.ts'
import { createCookieReader } from '../../../shared/cookies/open.ts'
import { createSuccessorBox } from '../../../shared/cookies/successor.ts'
import { deriveKeyRing, promoteKey, removeKey, rotateKeyRing } from '../../../shared/crypto/key-ring-edit.ts'
import { createKeyRing, fixedKeys } from '../../../shared/crypto/key-ring.ts'
import { createOpener, createSealer } from '../../../shared/crypto/seal.ts'
import {
  browserAfter,
  createInstallation,
  jwt,
  noCookies,
  seededRandom,
  sessionCookies,
  testKeys,
} from '../../support/installation.ts'
import { createManualClock } from '../../support/manual-clock.ts'

const name = '__Host-Http-th-at'

describe('opening cookies', () => {
  it('distinguishes absent, unreadable and opened, and no more', () => {
    const { reader, writer } = createInstallation()
    const cookies = browserAfter(writer.setSession(sessionCookies(), noCookies))
    expect(reader.access(noCookies)).toEqual({ kind: 'absent' })
    expect(reader.access({ ours: new Map([[name, 'x']]), others: undefined })).toEqual({ kind: 'unreadable' })
    expect(reader.access({ ours: new Map([[`${name}.1`, 'x']]), others: undefined })).toEqual({ kind: 'unreadable' })
    expect(reader.access(cookies).kind).toBe('opened')
  })

  it.each([
    ['malformed', 'A'],
    ['malformed', '"quoted"'],
    ['unknown_version', Buffer.alloc(60, 2).toString('base64url')],
    ['unknown_key', Buffer.alloc(60, 1).toString('base64url')],
    ['chunks', '3.x'],
  ])('tells the log, and only the log, that a value is %s', (reason, value) => {
    const { reader, events } = createInstallation()
    expect(reader.access({ ours: new Map([[name, value]]), others: undefined }, 'r1')).toEqual({ kind: 'unreadable' })
    expect(events).toMatchObject([
      { name: 'cookie.unreadable', fields: { cookie: 'access', reason, request_id: 'r1' } },
    ])
  })

  it('counts openings by key, and those that were seen before apart', () => {
    const { reader, writer, events, keys } = createInstallation()
    const cookies = browserAfter(writer.setSession(sessionCookies(), noCookies))
    reader.access(cookies)
    reader.access(cookies)
    reader.refresh(cookies)
    reader.refresh(cookies)
    const key_id = keys.current().primaryKeyId
    expect(events.map(({ fields }) => fields)).toEqual([
      { cookie: 'access', key_id, cached: false },
      { cookie: 'access', key_id, cached: true },
      { cookie: 'refresh', key_id, cached: false },
      { cookie: 'refresh', key_id, cached: true },
    ])
  })

  it('opens chunked cookies', () => {
    const { reader, writer } = createInstallation()
    const session = sessionCookies({ accessToken: jwt(6000) })
    const cookies = browserAfter(writer.setSession(session, noCookies))
    expect(cookies.ours.has(`${name}.1`)).toBe(true)
    expect(reader.access(cookies)).toMatchObject({ kind: 'opened', content: session.access })
  })
})

describe('the memory of opened cookies', () => {
  it('does not take a value for another that ends alike (A20)', () => {
    const { reader, writer } = createInstallation()
    const cookies = browserAfter(writer.setSession(sessionCookies(), noCookies))
    reader.access(cookies)
    const value = cookies.ours.get(name) ?? ''
    const forged = `${value.slice(0, 10)}${value[10] === 'A' ? 'B' : 'A'}${value.slice(11)}`
    expect(reader.access({ ours: new Map([[name, forged]]), others: undefined }).kind).toBe('unreadable')
    expect(reader.access({ ours: new Map([[name, value.slice(-22)]]), others: undefined }).kind).toBe('unreadable')
  })

  it('ends with the ring: a key that was taken away opens nothing from then on (EN-7)', () => {
    const first = testKeys()
    const rotated = promoteKey(
      rotateKeyRing(first, { random: seededRandom('second'), clock: createManualClock() }, 'stage'),
      first[0]?.id ?? '',
    )
    const second = rotated[1]?.id ?? ''
    let ring = createKeyRing(rotated)
    const keys = { current: () => ring }
    const { reader, writer, events } = createInstallation({ keys })
    const cookies = browserAfter(writer.setSession(sessionCookies(), noCookies))
    expect(reader.access(cookies).kind).toBe('opened')
    ring = createKeyRing(removeKey(promoteKey(rotated, second), first[0]?.id ?? ''))
    expect(reader.access(cookies).kind).toBe('unreadable')

    const renewed = browserAfter(writer.setSession(sessionCookies(), noCookies))
    reader.access(renewed)
    reader.access(renewed)
    expect(events.at(-1)?.fields).toMatchObject({ key_id: second, cached: true })
  })

  const entry = (content: string) => ({ kind: 'opened', content, keyId: 'k' }) as const
  const cacheOf = (limits: { maxEntries: number; maxAgeMs: number }) => {
    const clock = createManualClock()
    const keys = fixedKeys(createKeyRing(testKeys()))
    return { clock, cache: createOpenedCache<string>({ keys, clock }, limits) }
  }

  it('is bounded: it never holds more than two generations', () => {
    const { cache } = cacheOf({ maxEntries: 10, maxAgeMs: 60_000 })
    const value = (index: number) => `${index}`.padStart(40, 'v')
    for (let index = 0; index < 1000; index++) cache.put(value(index), entry(`${index}`))
    const found = Array.from({ length: 1000 }, (_, index) => cache.get(value(index))).filter((one) => one !== undefined)
    expect(found.length).toBeLessThanOrEqual(20)
    expect(cache.get(value(999))?.content).toBe('999')
  })

  it('forgets what nobody has asked for in two generations', () => {
    const { cache, clock } = cacheOf({ maxEntries: 10, maxAgeMs: 60_000 })
    const [kept, left] = ['k'.repeat(40), 'l'.repeat(40)]
    cache.put(kept, entry('kept'))
    cache.put(left, entry('left'))
    clock.pass(61)
    expect(cache.get(kept)?.content).toBe('kept')
    clock.pass(61)
    expect(cache.get(kept)?.content).toBe('kept')
    expect(cache.get(left)).toBeUndefined()
    clock.pass(3600)
    expect(cache.get(kept)).toBeUndefined()
  })

  it('forgets at once when the clock is set back, and not only when the old time comes again', () => {
    const { cache, clock } = cacheOf({ maxEntries: 10, maxAgeMs: 60_000 })
    const value = 'v'.repeat(40)
    cache.put(value, entry('kept'))
    clock.pass(-86_400)
    expect(cache.get(value)).toBeUndefined()
    cache.put(value, entry('new'))
    clock.pass(59)
    expect(cache.get(value)?.content).toBe('new')
  })

  it.each([
    ['a moment ago', 0],
    ['in the generation before', 61],
  ])('takes no other value for one that it was given %s, whatever both end with (A04)', (_, passed) => {
    const { cache, clock } = cacheOf({ maxEntries: 10, maxAgeMs: 60_000 })
    const tag = 't'.repeat(22)
    cache.put(`sealed${tag}`, entry('sealed'))
    clock.pass(passed)
    expect(cache.get(`forged${tag}`)).toBeUndefined()
    expect(cache.get(`sealed${tag}`)?.content).toBe('sealed')
  })

  it.each([
    ['an access token', 'access', true],
    ['a refresh token', 'refresh', false],
  ] as const)('twenty seconds after its last use, %s (%s) is remembered: %s', (_, cookie, remembered) => {
    const { reader, writer, clock, events } = createInstallation()
    const cookies = browserAfter(writer.setSession(sessionCookies(), noCookies))
    reader[cookie](cookies)
    clock.pass(20)
    reader[cookie](cookies)
    expect(events.at(-1)?.fields).toMatchObject({ cookie, cached: remembered })
  })

  it('hands out contents that nobody can change for others', () => {
    const { reader, writer } = createInstallation()
    const session = sessionCookies()
    const claims = { sub: 'alice', middle_name: null, address: { lines: ['1 High Street'] } }
    const cookies = browserAfter(
      writer.setSession({ ...session, identity: { ...session.identity, claims } }, noCookies),
    )
    const opened = reader.access(cookies)
    expect(opened.kind === 'opened' && Object.isFrozen(opened.content)).toBe(true)
    const identity = reader.identity(cookies)
    if (identity.kind !== 'opened') throw new Error(identity.kind)
    expect(identity.content.claims).toEqual(claims)
    const { address } = identity.content.claims as typeof claims
    for (const each of [identity.content.claims, address, address.lines]) expect(Object.isFrozen(each)).toBe(true)
  })
})

describe('rotating keys (A16, A17)', () => {
  const maker = { random: seededRandom('rotation'), clock: createManualClock() }

  it('signs nobody out while replicas have different files, if the key is staged first (FI-08)', () => {
    const k1 = testKeys()
    const staged = rotateKeyRing(k1, maker, 'stage')
    const promoted = promoteKey(staged, staged[1]?.id ?? '')
    const k2 = removeKey(promoted, k1[0]?.id ?? '')
    const steps = [k1, staged, promoted, k2].map((entries) =>
      createInstallation({ keys: fixedKeys(createKeyRing(entries)) }),
    )
    for (const [index, sealing] of steps.entries()) {
      const cookies = browserAfter(sealing.writer.setSession(sessionCookies(), noCookies))
      for (const opening of steps.slice(Math.max(index - 1, 0), index + 2)) {
        expect(opening.reader.access(cookies).kind).toBe('opened')
      }
    }
  })

  it('two replicas with keys of their own refuse each other alike, and the log names the key', () => {
    const one = createInstallation()
    const two = createInstallation({ keys: fixedKeys(createKeyRing(testKeys('another'))) })
    const cookies = browserAfter(one.writer.setSession(sessionCookies(), noCookies))
    expect(two.reader.access(cookies)).toEqual({ kind: 'unreadable' })
    expect(two.events[0]?.fields).toMatchObject({ reason: 'unknown_key', key_id: one.keys.current().primaryKeyId })
  })
})

describe('a proxy with its derived ring (EN-9)', () => {
  it('opens access cookies and nothing else', () => {
    const whole = createInstallation()
    const cookies = browserAfter(whole.writer.setSession(sessionCookies(), noCookies))
    const keys = fixedKeys(createKeyRing(deriveKeyRing(testKeys(), ['access', 'csrf', 'pseudonym'])))
    const reader = createCookieReader({ ...whole, keys })
    expect(reader.access(cookies).kind).toBe('opened')
    expect(reader.refresh(cookies).kind).toBe('unreadable')
    expect(reader.identity(cookies).kind).toBe('unreadable')
  })
})

describe('the successor of a refresh', () => {
  const { keys, binding, random } = createInstallation()
  const box = createSuccessorBox({ keys, binding, random })

  it('comes back whole, with or without a refresh token', () => {
    const session = sessionCookies({ accessToken: jwt(3000) })
    expect(box.open('hash-1', box.seal('hash-1', session))).toEqual(session)
    const { access, identity } = session
    expect(box.open('hash-1', box.seal('hash-1', { access, identity }))).toEqual({ access, identity })
  })

  it('opens under its own key only, so that a store cannot swap two users', () => {
    expect(box.open('hash-2', box.seal('hash-1', sessionCookies()))).toBeUndefined()
  })

  it('is no cookie, and no cookie is a successor', () => {
    const installation = createInstallation()
    const sealed = box.seal('hash-1', sessionCookies())
    const cookies = { ours: new Map([['__Host-Http-th-rt', sealed]]), others: undefined }
    expect(installation.reader.refresh(cookies).kind).toBe('unreadable')
    const session = browserAfter(installation.writer.setSession(sessionCookies(), noCookies))
    expect(box.open('hash-1', session.ours.get('__Host-Http-th-rt') ?? '')).toBeUndefined()
  })

  it.each(['access', 'refresh', 'identity'] as const)('is undefined when another version wrote its %s part', (part) => {
    const session = sessionCookies()
    const slot = { name: 'successor:hash-1', purpose: 'refresh' } as const
    const whole = createOpener({ keys, binding })(slot)(box.seal('hash-1', session))
    if (whole.kind !== 'opened') throw new Error(whole.kind)
    if (session.refresh === undefined) throw new Error('no refresh token')
    const record = {
      access: codecs.access.encode(session.access),
      refresh: codecs.refresh.encode(session.refresh),
      identity: codecs.identity.encode(session.identity),
    }[part]
    const changed = Buffer.from(whole.plaintext)
    changed.writeUInt8(99, changed.indexOf(record))
    const sealed = createSealer({ keys, binding, random })(slot)(changed)
    expect(box.open('hash-1', sealed)).toBeUndefined()
  })

  it.each(['', 'x', 'A'.repeat(100)])('is undefined for %j', (value) => {
    expect(box.open('hash-1', value)).toBeUndefined()
  })
})
