import { describe, expect, it } from 'vitest'
import { csrfToken, isCsrfToken } from '../../shared/crypto/csrf-token.ts'
import { createKeyRing } from '../../shared/crypto/key-ring.ts'
import { testKeys } from '../support/installation.ts'

const ring = createKeyRing(testKeys())
const token = csrfToken(ring, 'AAECAwQFBgcICQoLDA0ODw')

describe('comparing secrets', () => {
  it.each([
    ['nothing', undefined],
    ['an empty text', ''],
    ['its first character', token.slice(0, 1)],
    ['all but the last character', token.slice(0, -1)],
    ['one character more', `${token}A`],
    ['twice the token', token + token],
    ['another letter case', token.toLowerCase() === token ? token.toUpperCase() : token.toLowerCase()],
    ['characters of several bytes', 'é'.repeat(token.length)],
    ['a NUL in place of the last character', `${token.slice(0, -1)}\0`],
    ['16 KB', 'A'.repeat(16_384)],
  ])('A18: %s is refused and nothing throws', (_, presented) => {
    expect(isCsrfToken(ring, 'AAECAwQFBgcICQoLDA0ODw', presented)).toBe(false)
  })
  it('A18: the token itself passes', () => {
    expect(isCsrfToken(ring, 'AAECAwQFBgcICQoLDA0ODw', token)).toBe(true)
  })
})
