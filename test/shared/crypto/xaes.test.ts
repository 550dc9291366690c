import { createHash, createSecretKey, randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { createXaesKey } from '../../../shared/crypto/xaes.ts'
import published from '../../vectors/xaes-256-gcm.json' with { type: 'json' }

const random = () => createXaesKey(createSecretKey(randomBytes(32)))

describe('XAES-256-GCM', () => {
  it.each(published.vectors)(
    'gives the published ciphertext under key $key',
    ({ key, nonce, plaintext, aad, sealed }) => {
      const xaes = createXaesKey(createSecretKey(Buffer.from(key, 'hex')))
      const [n, p, a] = [Buffer.from(nonce), Buffer.from(plaintext), Buffer.from(aad)]
      expect(xaes.seal(n, p, a).toString('hex')).toBe(sealed)
      expect(xaes.open(n, Buffer.from(sealed, 'hex'), a)?.toString()).toBe(plaintext)
    },
  )

  it('gives the published digest of 10 000 random messages', () => {
    const { iterations, digest } = published.accumulated
    // Each message takes at most 32 + 24 + 1 + 255 + 1 + 255 bytes of the stream.
    const stream = createHash('shake128', { outputLength: iterations * 568 }).digest()
    const sum = createHash('shake128', { outputLength: 32 })
    let at = 0
    const take = (size: number) => stream.subarray(at, (at += size))
    for (let i = 0; i < iterations; i++) {
      const xaes = createXaesKey(createSecretKey(take(32)))
      const nonce = take(24)
      const plaintext = take(take(1).readUInt8())
      const aad = take(take(1).readUInt8())
      const sealed = xaes.seal(nonce, plaintext, aad)
      sum.update(sealed)
      if (i % 100 === 0) expect(xaes.open(nonce, sealed, aad)?.equals(plaintext)).toBe(true)
    }
    expect(sum.digest('hex')).toBe(digest)
  }, 30_000)

  it('keeps messages apart that share one key object', () => {
    const xaes = random()
    const nonces = Array.from({ length: 50 }, () => randomBytes(24))
    const sealed = nonces.map((nonce) => xaes.seal(nonce, Buffer.from('same'), Buffer.alloc(0)))
    expect(new Set(sealed.map((value) => value.toString('hex'))).size).toBe(50)
    nonces.forEach((nonce, index) => {
      expect(xaes.open(nonce, sealed[index] ?? Buffer.alloc(0), Buffer.alloc(0))?.toString()).toBe('same')
    })
  })

  it('uses both halves of the nonce', () => {
    const xaes = random()
    const nonce = randomBytes(24)
    const sealed = xaes.seal(nonce, Buffer.from('text'), Buffer.alloc(0))
    for (let index = 0; index < 24; index++) {
      const other = Buffer.from(nonce)
      other.writeUInt8(other.readUInt8(index) ^ 1, index)
      expect(xaes.open(other, sealed, Buffer.alloc(0))).toBeUndefined()
    }
  })

  it.each([0, 4, 8, 12, 15])('does not take a tag of %i bytes (A06)', (size) => {
    const xaes = random()
    const nonce = randomBytes(24)
    const sealed = xaes.seal(nonce, Buffer.alloc(0), Buffer.alloc(0))
    expect(xaes.open(nonce, sealed.subarray(0, size), Buffer.alloc(0))).toBeUndefined()
  })

  it.each([16, 31, 33])('does not take a key of %i bytes', (size) => {
    expect(() => createXaesKey(createSecretKey(randomBytes(size)))).toThrow(RangeError)
  })

  it.each([12, 23, 25])('does not take a nonce of %i bytes', (size) => {
    expect(() => random().seal(randomBytes(size), Buffer.alloc(0), Buffer.alloc(0))).toThrow(RangeError)
  })
})
