import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeBase64url, encodeBase64url } from '../../../shared/crypto/base64url.ts'

const bytes = fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array))

describe('base64url', () => {
  it('gives back what was encoded', () => {
    fc.assert(fc.property(bytes, (value) => decodeBase64url(encodeBase64url(value))?.equals(value) === true))
  })

  it('accepts one spelling only (RFC 4648 §3.5)', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'AZaz09-_+/=. \n"%'), maxLength: 12 }), (text) => {
        const value = decodeBase64url(text)
        return value === undefined || value.toString('base64url') === text
      }),
    )
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
  ])('refuses %s', (_, text) => {
    expect(decodeBase64url(text)).toBeUndefined()
  })
})
