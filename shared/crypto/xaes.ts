import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from 'node:crypto'

const xaesKeyBytes = 32
/** Length of a nonce in bytes. */
export const xaesNonceBytes = 24
/** Length of the tag behind the ciphertext in bytes. */
export const xaesTagBytes = 16

/** AES-256-GCM with a 192-bit nonce, which may be drawn at random for 2^80 messages (C2SP XAES-256-GCM). */
export interface XaesKey {
  /** Ciphertext followed by the 16-byte tag. */
  seal(nonce: Buffer, plaintext: Buffer, associatedData: Buffer): Buffer
  /** The plaintext, or undefined when key, nonce, associated data or a single bit of `sealed` differ. */
  open(nonce: Buffer, sealed: Buffer, associatedData: Buffer): Buffer | undefined
}

/** Prepares a 256-bit key; throws RangeError for another size. Step numbers are those of c2sp.org/XAES-256-GCM. */
export function createXaesKey(key: KeyObject): XaesKey {
  if (key.type !== 'secret' || key.symmetricKeySize !== xaesKeyBytes) throw new RangeError('an XAES key has 32 bytes')

  // One cipher object is kept for the life of the key: setting up a cipher costs more than all its blocks together.
  const blocks = createCipheriv('aes-256-ecb', key, null).setAutoPadding(false)
  const subkey = cmacSubkey(blocks.update(Buffer.alloc(16)))

  // Steps 3 and 4 without the nonce, and their masking with K1 in step 5; the counter is the second byte.
  const masked = Buffer.concat([subkey, subkey])
  for (const [start, counter] of [
    [0, 1],
    [16, 2],
  ] as const) {
    masked.writeUInt8(masked.readUInt8(start + 1) ^ counter, start + 1)
    masked.writeUInt8(masked.readUInt8(start + 2) ^ 0x58, start + 2)
  }
  const input = Buffer.from(masked)

  function messageKey(nonce: Buffer): KeyObject {
    if (nonce.length !== xaesNonceBytes) throw new RangeError('an XAES nonce has 24 bytes')
    for (let i = 0; i < 12; i++) {
      const byte = nonce[i] ?? 0
      input[i + 4] = (masked[i + 4] ?? 0) ^ byte
      input[i + 20] = (masked[i + 20] ?? 0) ^ byte
    }
    // Handing raw bytes to a cipher costs 10 to 20 µs more than handing it a KeyObject.
    return createSecretKey(blocks.update(input))
  }

  return {
    seal(nonce, plaintext, associatedData) {
      const cipher = createCipheriv('aes-256-gcm', messageKey(nonce), nonce.subarray(12), {
        authTagLength: xaesTagBytes,
      })
      cipher.setAAD(associatedData)
      return Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()])
    },

    open(nonce, sealed, associatedData) {
      if (sealed.length < xaesTagBytes) return undefined
      // Without authTagLength, Node before 26 takes a tag of 4 bytes, which 2^32 guesses forge (DEP0182).
      const decipher = createDecipheriv('aes-256-gcm', messageKey(nonce), nonce.subarray(12), {
        authTagLength: xaesTagBytes,
      })
      const end = sealed.length - xaesTagBytes
      decipher.setAAD(associatedData)
      decipher.setAuthTag(sealed.subarray(end))
      const unverified = decipher.update(sealed.subarray(0, end))
      try {
        decipher.final()
      } catch {
        // The only thing final() can say about GCM is that the tag is wrong.
        return undefined
      }
      return unverified
    },
  }
}

/** Step 2: doubling in GF(2^128), NIST SP 800-38B §6.1. */
function cmacSubkey(zeroBlock: Buffer): Buffer {
  const doubled = Buffer.alloc(16)
  for (let i = 0; i < 16; i++) {
    doubled[i] = (((zeroBlock[i] ?? 0) << 1) | ((zeroBlock[i + 1] ?? 0) >> 7)) & 0xff
  }
  if ((zeroBlock[0] ?? 0) & 0x80) doubled[15] = (doubled[15] ?? 0) ^ 0x87
  return doubled
}
