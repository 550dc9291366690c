import type { Field } from './fields.ts'
import { RecordError, RecordReader, RecordWriter } from './record-bytes.ts'

/** Writes and reads one kind of content; see FORMAT.md. */
export interface RecordCodec<T> {
  /** Throws RangeError for a value that would not come back as it was. */
  encode(content: T): Buffer
  /** Undefined for another version and for bytes that are not exactly one record. */
  decode(bytes: Buffer): T | undefined
}

/** A field that may be missing. */
export interface OptionalField<T> {
  readonly optional: Field<T>
}

/** One field for each property, in the order in which they are written. */
export type FieldTable<T> = {
  readonly [K in keyof T]-?: undefined extends T[K] ? OptionalField<Exclude<T[K], undefined>> : Field<T[K]>
}

/** Version of all tables; a change to any of them raises it, and old records are then unreadable. */
const recordVersion = 1

/** A codec from a table: version, one bit for each optional field, then the fields that are there. */
export function createRecordCodec<T extends object>(table: FieldTable<T>): RecordCodec<T> {
  const field = recordField(table)
  return {
    encode(content) {
      const out = new RecordWriter()
      out.byte(recordVersion)
      field.write(out, content)
      return out.toBuffer()
    },
    decode(bytes) {
      const input = new RecordReader(bytes)
      try {
        if (input.byte() !== recordVersion) return undefined
        const content = field.read(input)
        return input.atEnd ? content : undefined
      } catch (error) {
        if (error instanceof RecordError) return undefined
        throw error
      }
    },
  }
}

/** A record as a field of another. */
export function recordField<T extends object>(table: FieldTable<T>): Field<T> {
  const entries: [string, Field<unknown> | OptionalField<unknown>][] = Object.entries(table)
  const optionals = entries.flatMap(([name, row]) => ('optional' in row ? [name] : []))
  if (optionals.length > 8) throw new RangeError('a record has at most 8 optional fields')
  const rows = entries.map(([name, row]) =>
    'optional' in row ? { name, field: row.optional, bit: 1 << optionals.indexOf(name) } : { name, field: row, bit: 0 },
  )

  return {
    write(out, content) {
      const values = new Map<string, unknown>(Object.entries(content))
      if (optionals.length > 0) {
        out.byte(rows.reduce((bits, { name, bit }) => (values.get(name) === undefined ? bits : bits | bit), 0))
      }
      for (const { name, field, bit } of rows) {
        const value = values.get(name)
        if (bit === 0 || value !== undefined) field.write(out, value)
      }
    },
    read(input) {
      const present = optionals.length > 0 ? input.byte() : 0
      const content: Record<string, unknown> = {}
      for (const { name, field, bit } of rows) {
        if (bit === 0 || (present & bit) !== 0) content[name] = field.read(input)
      }
      return content as T
    },
  }
}

/** Marks a field that may be missing. */
export function optional<T>(field: Field<T>): OptionalField<T> {
  return { optional: field }
}
