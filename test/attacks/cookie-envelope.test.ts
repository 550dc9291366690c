import { describe, expect, it } from 'vitest'
import { createKeyRing, fixedKeys } from '../../shared/crypto/key-ring.ts'
import { createSealer } from '../../shared/crypto/seal.ts'
import {
  browserAfter,
  createInstallation,
  jwt,
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

/** Every different outcome of opening these values. */
const outcomes = (values: Iterable<string>) => new Set(Array.from(values, (text) => JSON.stringify(open(text))))
const onlyUnreadable = new Set(['{"kind":"unreadable"}'])
const positions = Array.from({ length: bytes.length }, (_, at) => at)

describe('A04: every failure is the same failure', () => {
  it('for every bit of the value', () => {
    const flipped = positions.flatMap((at) =>
      [1, 2, 4, 8, 16, 32, 64, 128].map((bit) => sealedBytes((copy) => copy.writeUInt8(copy.readUInt8(at) ^ bit, at))),
    )
    expect(flipped).toHaveLength(bytes.length * 8)
    expect(outcomes(flipped)).toEqual(onlyUnreadable)
  })

  it('for every character replaced by another one', () => {
    const replaced = [...value].map(
      (character, at) => `${value.slice(0, at)}${character === 'A' ? 'B' : 'A'}${value.slice(at + 1)}`,
    )
    expect(outcomes(replaced)).toEqual(onlyUnreadable)
  })

  it('for every beginning and every end of it', () => {
    const cut = [...value].flatMap((_, at) => [value.slice(0, at), value.slice(at + 1)])
    expect(outcomes(cut)).toEqual(onlyUnreadable)
  })

  it('for bytes inserted and taken out anywhere', () => {
    const zero = Buffer.alloc(1)
    const moved = positions.flatMap((at) => [
      Buffer.concat([bytes.subarray(0, at), zero, bytes.subarray(at)]).toString('base64url'),
      Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1)]).toString('base64url'),
    ])
    expect(outcomes(moved)).toEqual(onlyUnreadable)
  })
})

describe('A05: values sealed with another key', () => {
  it('open none in a thousand, and throw nothing', () => {
    const { binding, keys, catalogue } = createInstallation()
    const foreign = { keys: fixedKeys(createKeyRing(testKeys('other'))), binding, random: seededRandom('other') }
    const seal = createSealer(foreign)(catalogue.access)
    const ownId = Buffer.from(keys.current().primaryKeyId, 'hex')
    const forged = Array.from({ length: 1000 }, () => {
      const copy = Buffer.from(seal(Buffer.alloc(100)), 'base64url')
      ownId.copy(copy, 1)
      return copy.toString('base64url')
    })
    expect(outcomes(forged)).toEqual(onlyUnreadable)
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
    events.length = 0
    outcomes(positions.map((at) => sealedBytes((copy) => copy.writeUInt8(copy.readUInt8(at) ^ 1, at))))
    expect(events.length).toBe(positions.length)
    const text = JSON.stringify(events)
    for (let at = 8; at + 12 < value.length; at += 7) expect(text).not.toContain(value.slice(at, at + 12))
  })
})
