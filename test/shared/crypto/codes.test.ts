import { describe, expect, it } from 'vitest'
import { csrfToken, isCsrfToken } from '../../../shared/crypto/csrf-token.ts'
import { createKeyRing } from '../../../shared/crypto/key-ring.ts'
import { deriveKeyRing, promoteKey, rotateKeyRing } from '../../../shared/crypto/key-ring-edit.ts'
import { pseudonym } from '../../../shared/crypto/pseudonym.ts'
import { seededRandom, testKeys } from '../../support/installation.ts'
import { createManualClock } from '../../support/manual-clock.ts'

const entries = testKeys()
const ring = createKeyRing(entries)

describe('the CSRF token', () => {
  const token = csrfToken(ring, 'session-1')

  it('belongs to one session', () => {
    expect(isCsrfToken(ring, 'session-1', token)).toBe(true)
    expect(isCsrfToken(ring, 'session-2', token)).toBe(false)
  })

  it.each([
    ['nothing', undefined],
    ['an empty one', ''],
    ['one character', 'a'],
    ['one character too few', token.slice(1)],
    ['one character too many', `${token}A`],
    ['the right length', 'A'.repeat(43)],
    ['characters of two bytes', 'é'.repeat(43)],
    ['characters beyond one byte', '\u{1F600}'.repeat(21) + 'A'],
    ['a changed last bit', token.slice(0, -1) + (token.endsWith('A') ? 'B' : 'A')],
  ])('refuses %s without failing (A18)', (_, presented) => {
    expect(isCsrfToken(ring, 'session-1', presented)).toBe(false)
  })

  it('survives a rotation, also on a proxy', () => {
    const rotated = rotateKeyRing(entries, { random: seededRandom('new'), clock: createManualClock() }, 'now')
    expect(isCsrfToken(createKeyRing(rotated), 'session-1', token)).toBe(true)
    expect(isCsrfToken(createKeyRing(deriveKeyRing(rotated, ['csrf'])), 'session-1', token)).toBe(true)
    const back = promoteKey(rotated, entries[0]?.id ?? '')
    expect(csrfToken(createKeyRing(back), 'session-1')).toBe(token)
  })
})

describe('a pseudonym', () => {
  it('is short, stable and keyed', () => {
    expect(pseudonym(ring, 'subject', 'alice')).toMatch(/^[\w-]{12}$/)
    expect(pseudonym(ring, 'subject', 'alice')).toBe(pseudonym(createKeyRing(entries), 'subject', 'alice'))
    expect(pseudonym(ring, 'subject', 'alice')).not.toBe(
      pseudonym(createKeyRing(testKeys('other')), 'subject', 'alice'),
    )
  })

  it('does not link a subject and a session of the same text', () => {
    expect(pseudonym(ring, 'subject', 'x')).not.toBe(pseudonym(ring, 'session', 'x'))
  })

  it('needs its key', () => {
    const without = createKeyRing(deriveKeyRing(entries, ['access']))
    expect(() => pseudonym(without, 'subject', 'x')).toThrow('no key for pseudonym')
    expect(() => csrfToken(without, 'x')).toThrow('no key for csrf')
    expect(isCsrfToken(without, 'x', 'A'.repeat(43))).toBe(false)
  })
})
