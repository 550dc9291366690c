import { decodeBase64url } from '../crypto/base64url.ts'

/** The bytes are not what the table says. */
export class RecordError extends Error {
  override readonly name = 'RecordError'
}

/** One kind of value inside a record. */
export interface Field<T> {
  write(out: RecordWriter, value: T): void
  read(input: RecordReader): T
}

/** Collects the bytes of a record. */
export class RecordWriter {
  /** What times are counted from, seconds since 1970; set by `timeBase`. */
  base = 0
  readonly #parts: Buffer[] = []

  byte(value: number): void {
    this.#parts.push(Buffer.from([value]))
  }

  /** Seven bits a byte, lowest first, the high bit set on all but the last. */
  varint(value: number): void {
    if (!Number.isSafeInteger(value) || value < 0) throw new RangeError('not a whole number of at least zero')
    const bytes: number[] = []
    for (let rest = value; ; rest = Math.floor(rest / 128)) {
      if (rest < 128) {
        bytes.push(rest)
        break
      }
      bytes.push((rest % 128) | 0x80)
    }
    this.#parts.push(Buffer.from(bytes))
  }

  raw(bytes: Buffer): void {
    this.#parts.push(bytes)
  }

  toBuffer(): Buffer {
    return Buffer.concat(this.#parts)
  }
}

/** Takes a record apart; throws RecordError when it ends too early. */
export class RecordReader {
  base = 0
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get atEnd(): boolean {
    return this.#at === this.#bytes.length
  }

  byte(): number {
    const value = this.#bytes[this.#at++]
    if (value === undefined) throw new RecordError('ends too early')
    return value
  }

  varint(): number {
    let value = 0
    for (let unit = 1; unit <= 2 ** 49; unit *= 128) {
      const byte = this.byte()
      value += (byte & 0x7f) * unit
      if (byte < 0x80) {
        if (!Number.isSafeInteger(value)) break
        return value
      }
    }
    throw new RecordError('number too large')
  }

  /** The next `length` bytes. */
  raw(length: number): Buffer {
    const bytes = this.#bytes.subarray(this.#at, this.#end(length))
    this.#at += length
    return bytes
  }

  /** Text of the next `length` bytes. */
  text(length: number, encoding: 'utf8' | 'base64url'): string {
    const text = this.#bytes.toString(encoding, this.#at, this.#end(length))
    this.#at += length
    return text
  }

  #end(length: number): number {
    const end = this.#at + length
    if (end > this.#bytes.length) throw new RecordError('ends too early')
    return end
  }
}

/** A whole number of at least zero. */
export const count: Field<number> = {
  write: (out, value) => out.varint(value),
  read: (input) => input.varint(),
}

export const flag: Field<boolean> = {
  write: (out, value) => out.byte(value ? 1 : 0),
  read: (input) => input.byte() === 1,
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
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new RecordError('not an object')
    return { ...value }
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
