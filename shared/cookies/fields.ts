import { decodeBase64url } from '../crypto/base64url.ts'
import { isJsonObject } from '../json-object.ts'
import { RecordError, type RecordReader, type RecordWriter } from './record-bytes.ts'

/** One kind of value inside a record. */
export interface Field<T> {
  write(out: RecordWriter, value: T): void
  read(input: RecordReader): T
}

/** A whole number of at least zero. */
export const count: Field<number> = {
  write: (out, value) => out.varint(value),
  read: (input) => input.varint(),
}

/** 16 bytes that are written as 22 base64url characters. */
export const bytes16: Field<string> = {
  write(out, value) {
    const bytes = decodeBase64url(value)
    if (bytes?.length !== 16) throw new RangeError('not 16 bytes in base64url')
    out.raw(bytes)
  },
  read: (input) => input.text(16, 'base64url'),
}

/** The id of a key of the ring: 4 bytes that are written as 8 hex characters. */
export const keyId: Field<string> = {
  write(out, value) {
    if (!/^[0-9a-f]{8}$/.test(value)) throw new RangeError('not the id of a key')
    out.raw(Buffer.from(value, 'hex'))
  },
  read: (input) => input.raw(4).toString('hex'),
}

/** Seconds since 1970, from which the other times of the record are counted. */
export const timeBase: Field<number> = {
  write(out, value) {
    out.varint(value)
    out.base = value
  },
  read(input) {
    input.base = input.varint()
    return input.base
  },
}

/** Seconds since 1970, as the distance from the time base: doubled, and one more when it lies before. */
export const time: Field<number> = {
  write(out, value) {
    if (!Number.isSafeInteger(value)) throw new RangeError('not whole seconds')
    const distance = value - out.base
    out.varint(distance < 0 ? -2 * distance - 1 : 2 * distance)
  },
  read(input) {
    const coded = input.varint()
    return input.base + (coded % 2 === 1 ? -(coded + 1) / 2 : coded / 2)
  },
}

/** Length in bytes, then UTF-8. */
export const text: Field<string> = {
  write(out, value) {
    const bytes = Buffer.from(value, 'utf8')
    if (bytes.toString('utf8') !== value) throw new RangeError('not well-formed Unicode')
    out.varint(bytes.length)
    out.raw(bytes)
  },
  read: (input) => input.text(input.varint(), 'utf8'),
}

/** Number of texts, then each. */
export const textList: Field<readonly string[]> = {
  write(out, value) {
    out.varint(value.length)
    for (const item of value) text.write(out, item)
  },
  read: (input) => repeat(input.varint(), () => text.read(input)),
}

/** Whatever JSON can say, as its text. */
export const json: Field<Readonly<Record<string, unknown>>> = {
  write: (out, value) => text.write(out, JSON.stringify(value)),
  read(input) {
    const value = parseJson(text.read(input))
    if (!isJsonObject(value)) throw new RecordError('not an object')
    return value
  },
}

/** No JWS or JWE has more parts (RFC 7516 §7.1). */
const maxSegments = 5

/**
 * A token: how many base64url segments it has, then each as length and bytes, which saves a quarter of a JWT.
 *
 * A token that would not come back letter by letter is written as text after a zero.
 */
export const token: Field<string> = {
  write(out, value) {
    const segments = value.split('.').map(decodeBase64url)
    if (segments.length > maxSegments || segments.includes(undefined)) {
      out.byte(0)
      text.write(out, value)
      return
    }
    out.byte(segments.length)
    for (const segment of segments) {
      if (segment === undefined) continue
      out.varint(segment.length)
      out.raw(segment)
    }
  },
  read(input) {
    const segments = input.byte()
    if (segments === 0) return text.read(input)
    if (segments > maxSegments) throw new RecordError('too many segments')
    return repeat(segments, () => input.text(input.varint(), 'base64url')).join('.')
  },
}

/** Scope tokens that nearly everybody asks for; their place in this list is their number from 1 (OpenID Connect Core §5.4, §11). */
const wellKnownScopes = ['openid', 'profile', 'email', 'address', 'phone', 'offline_access']

/** Number of scope tokens, then for each its number in the list above, or a zero and its text. */
export const scope: Field<string> = {
  write(out, value) {
    const tokens = value === '' ? [] : value.split(' ')
    out.varint(tokens.length)
    for (const word of tokens) {
      const number = wellKnownScopes.indexOf(word) + 1
      out.byte(number)
      if (number === 0) text.write(out, word)
    }
  },
  read(input) {
    const words = repeat(input.varint(), () => {
      const number = input.byte()
      if (number === 0) return text.read(input)
      const word = wellKnownScopes[number - 1]
      if (word === undefined) throw new RecordError('unknown scope number')
      return word
    })
    return words.join(' ')
  },
}

/** Stops at the end of the bytes, so that a wrong number cannot fill the memory (B05). */
function repeat<T>(times: number, read: () => T): T[] {
  const items: T[] = []
  while (items.length < times) items.push(read())
  return items
}

function parseJson(source: string): unknown {
  try {
    return JSON.parse(source)
  } catch (cause) {
    throw new RecordError('not JSON', { cause })
  }
}
