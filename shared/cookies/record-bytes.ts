/** The bytes are not what the table says. */
export class RecordError extends Error {
  override readonly name = 'RecordError'
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
