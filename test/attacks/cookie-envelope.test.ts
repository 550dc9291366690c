import { describe, expect, it } from 'vitest'
import { createKeyRing, fixedKeys } from '../../shared/crypto/key-ring.ts'
import {
  browserAfter,
  createInstallation,
  jwt,
  loginContent,
  noCookies,
  seededRandom,
  sessionCookies,
  testKeys,
} from '../support/installation.ts'

/** Attack: change a sealed value, and learn from how it fails. */

const name = '__Host-Http-th-at'
const { reader, writer, events } = createInstallation()
const session = browserAfter(writer.setSession(sessionCookies({ accessToken: jwt(300) }), noCookies))
const value = session.ours.get(name) ?? ''
const bytes = Buffer.from(value, 'base64url')

const open = (text: string) => reader.access({ ours: new Map([[name, text]]), others: undefined })
const sealedBytes = (change: (copy: Buffer) => void) => {
  const copy = Buffer.from(bytes)
  change(copy)
  return copy.toString('base64url')
}

describe('A04: every failure is the same failure', () => {
  it('for every bit of the value', () => {
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const forged = sealedBytes((copy) => copy.writeUInt8(copy.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3))
      expect(open(forged)).toEqual({ kind: 'unreadable' })
    }
  })

  it('for every character replaced by another one', () => {
    for (let at = 0; at < value.length; at++) {
      const forged = `${value.slice(0, at)}${value[at] === 'A' ? 'B' : 'A'}${value.slice(at + 1)}`
      expect(open(forged)).toEqual({ kind: 'unreadable' })
    }
  })

  it('for every beginning and every end of it', () => {
    for (let at = 0; at < value.length; at++) {
      expect(open(value.slice(0, at))).toEqual({ kind: 'unreadable' })
      if (at > 0) expect(open(value.slice(at))).toEqual({ kind: 'unreadable' })
    }
  })

  it('for bytes inserted, taken out and exchanged anywhere', () => {
    for (let at = 0; at < bytes.length - 1; at++) {
      const inserted = Buffer.concat([bytes.subarray(0, at), Buffer.from([0]), bytes.subarray(at)])
      const removed = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1)])
      expect(open(inserted.toString('base64url'))).toEqual({ kind: 'unreadable' })
      expect(open(removed.toString('base64url'))).toEqual({ kind: 'unreadable' })
    }
  })
})

describe('A05: values sealed with another key', () => {
  it('open none in two thousand, and throw nothing', () => {
    const other = createInstallation({
      keys: fixedKeys(createKeyRing(testKeys('other'))),
      random: seededRandom('other'),
    })
    const ownId = Buffer.from(createInstallation().keys.current().primaryKeyId, 'hex')
    for (let count = 0; count < 2000; count++) {
      const cookies = browserAfter(other.writer.setLogin('a'.repeat(22), loginContent(), noCookies))
      const [forged = ''] = cookies.ours.values()
      const copy = Buffer.from(forged, 'base64url')
      ownId.copy(copy, 1)
      expect(open(copy.toString('base64url'))).toEqual({ kind: 'unreadable' })
    }
  })
})

describe('A06: a shorter tag', () => {
  it.each([15, 14, 13, 12, 8, 4, 1, 0])('of %i bytes opens nothing', (size) => {
    expect(open(bytes.subarray(0, bytes.length - 16 + size).toString('base64url'))).toEqual({ kind: 'unreadable' })
  })
})

describe('A08: other spellings of the same bytes', () => {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  // One, two or no byte beyond a multiple of three: four, two or no bits of the last character mean nothing.
  const lengths = ['alice', 'alice1', 'alice12'].map((subject) => {
    const cookies = browserAfter(writer.setSession(sessionCookies({ subject, accessToken: jwt(300) }), noCookies))
    return cookies.ours.get(name) ?? ''
  })

  it('cover every length of the last group', () => {
    expect(lengths.map((text) => text.length % 4).toSorted()).toEqual([0, 2, 3])
  })

  it.each(lengths.map((text) => [text.length % 4, text]))(
    'open nothing (%i characters in the last group)',
    (rest, text) => {
      const last = alphabet.indexOf(text.at(-1) ?? '')
      const spare = rest === 2 ? 16 : rest === 3 ? 4 : 1
      const aliases = [
        `${text}=`,
        `${text}==`,
        `${text}\n`,
        `!${text}`,
        ` ${text}`,
        `${text.slice(0, 40)} ${text.slice(40)}`,
        `"${text}"`,
        text.replaceAll('-', '+').replaceAll('_', '/'),
        ...Array.from({ length: spare - 1 }, (_, index) => text.slice(0, -1) + alphabet[last + index + 1]),
      ]
      expect(open(text).kind).toBe('opened')
      for (const alias of aliases) {
        expect(Buffer.from(alias, 'base64url').toString('base64url')).toBe(text)
        expect(open(alias)).toEqual({ kind: 'unreadable' })
      }
    },
  )
})

describe('A14: a value of many megabytes', () => {
  it('is never inflated: what is sealed is what is stored', () => {
    const token = 'A'.repeat(3000)
    const { writer: plain } = createInstallation()
    const [line = ''] = plain.setSession(sessionCookies({ accessToken: token }), noCookies)
    expect(line.length).toBeGreaterThan(3000)
  })
})

describe('the log', () => {
  it('learns what failed and never a piece of the value', () => {
    expect(events.length).toBeGreaterThan(1000)
    const text = JSON.stringify(events)
    for (let at = 8; at + 12 < value.length; at += 7) expect(text).not.toContain(value.slice(at, at + 12))
  })
})
