import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeBase64url, encodeBase64url } from '../../../shared/crypto/base64url.ts'

const bytes = fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array))

describe('base64url', () => {
  it('gives back what was encoded', () => {
    fc.assert(fc.property(bytes, (value) => decodeBase64url(encodeBase64url(value))?.equals(value) === true))
  })

  it('accepts one spelling only, whatever character stands anywhere in it (RFC 4648 §3.5)', () => {
    const wide = ['\u0141', '\u2003', '\uff21', '\ud800']
    const characters = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code)).concat(wide)
    for (const length of [0, 1, 2, 3, 4, 5, 6, 34]) {
      const text = 'Q'.repeat(length)
      const spellings = characters.flatMap((character) =>
        Array.from({ length: length + 1 }, (_, at) => text.slice(0, at) + character + text.slice(at)),
      )
      const accepted = spellings.filter((spelling) => decodeBase64url(spelling) !== undefined)
      // A value of 4n + 2 characters has four spare bits, one of 4n + 3 has two.
      const last = { 0: 64, 2: 4, 3: 16 }[(length + 1) % 4] ?? 0
      expect(accepted.every((spelling) => /^[\w-]*$/.test(spelling))).toBe(true)
      expect(new Set(accepted.filter((spelling) => spelling.startsWith(text))).size).toBe(last)
    }
  })

  it.each([
    ['padding', 'QQ=='],
    ['a line end', 'QUJD\n'],
    ['a leading stranger', '!QUJD'],
    ['a space inside', 'QU JD'],
    ['the other alphabet', 'a+/b'],
    ['bits beyond the last byte', 'QR'],
    ['one character too many', 'QUJDR'],
    ['a character outside ASCII', 'QUJDé'],
    ['a character whose lower byte is a letter', 'QUJ\u0141'],
  ])('refuses %s', (_, text) => {
    expect(decodeBase64url(text)).toBeUndefined()
  })
})
