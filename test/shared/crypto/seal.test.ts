import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createKeyRing, fixedKeys } from '../../../shared/crypto/key-ring.ts'
import { removeKey, rotateKeyRing } from '../../../shared/crypto/key-ring-edit.ts'
import { systemRandomBytes } from '../../../shared/crypto/random.ts'
import { associatedData, createOpener, createSealer } from '../../../shared/crypto/seal.ts'
import { binding, testKeys } from '../../support/installation.ts'
import { createManualClock } from '../../support/manual-clock.ts'

const entries = testKeys()
const keys = fixedKeys(createKeyRing(entries))
const slot = { name: '__Host-Http-th-at', purpose: 'access' } as const
const seal = createSealer({ keys, binding, random: systemRandomBytes })(slot)
const open = createOpener({ keys, binding })(slot)

describe('a sealed value', () => {
  it('opens to what was sealed', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const opened = open(seal(Buffer.from(bytes)))
        return opened.kind === 'opened' && opened.plaintext.equals(bytes)
      }),
    )
  })

  it('costs 45 bytes and the quarter of base64url', () => {
    expect(seal(Buffer.alloc(100))).toHaveLength(Math.ceil(((100 + 45) * 4) / 3))
  })

  it('is never the same twice (A09)', () => {
    const nonces = Array.from({ length: 5000 }, () =>
      Buffer.from(seal(Buffer.alloc(0)), 'base64url').toString('hex', 5, 29),
    )
    expect(new Set(nonces).size).toBe(5000)
  })

  it('is not made without randomness (A09)', () => {
    const random = () => {
      throw new Error('no entropy')
    }
    expect(() => createSealer({ keys, binding, random })(slot)(Buffer.alloc(0))).toThrow('no entropy')
  })

  const parts = ['name', 'purpose', 'clientId', 'issuer', 'publicOrigin'] as const
  it.each(parts)('does not open with another %s', (part) => {
    const other = part === 'purpose' ? 'refresh' : 'other'
    const otherSlot = { ...slot, ...(part === 'name' || part === 'purpose' ? { [part]: other } : {}) }
    const elsewhere = createOpener({ keys, binding: { ...binding, [part]: other } })(otherSlot)
    expect(elsewhere(seal(Buffer.from('x')))).toEqual({
      kind: 'unreadable',
      reason: 'tampered',
      keyId: entries[0]?.id,
    })
  })

  it('tells an unknown key from a forged value, and both only inside', () => {
    const rotated = rotateKeyRing(entries, { random: systemRandomBytes, clock: createManualClock() }, 'now')
    const retired = fixedKeys(createKeyRing(removeKey(rotated, entries[0]?.id ?? '')))
    const value = seal(Buffer.from('x'))
    expect(createOpener({ keys: retired, binding })(slot)(value)).toEqual({
      kind: 'unreadable',
      reason: 'unknown_key',
      keyId: entries[0]?.id,
    })
  })

  it('still opens after a rotation, and new ones name the new key', () => {
    const rotated = rotateKeyRing(entries, { random: systemRandomBytes, clock: createManualClock() }, 'now')
    const after = { keys: fixedKeys(createKeyRing(rotated)), binding, random: systemRandomBytes }
    expect(createOpener(after)(slot)(seal(Buffer.from('x'))).kind).toBe('opened')
    expect(createOpener(after)(slot)(createSealer(after)(slot)(Buffer.from('x')))).toMatchObject({
      keyId: rotated[0]?.id,
    })
  })
})

describe('associated data (A10)', () => {
  it('differs whenever a part differs', () => {
    const text = fc.string({ maxLength: 6 })
    const parts = fc.record({ name: text, clientId: text, issuer: text, publicOrigin: text })
    fc.assert(
      fc.property(parts, parts, (one, two) => {
        const data = (part: typeof one) =>
          associatedData('01020304', { name: part.name, purpose: 'access' }, part).toString('hex')
        return (data(one) === data(two)) === (JSON.stringify(Object.values(one)) === JSON.stringify(Object.values(two)))
      }),
    )
  })

  it('keeps ("ab", "c") and ("a", "bc") apart', () => {
    const data = (clientId: string, issuer: string) =>
      associatedData('01020304', slot, { clientId, issuer, publicOrigin: '' })
    expect(data('ab', 'c')).not.toEqual(data('a', 'bc'))
  })
})
