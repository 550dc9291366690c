import type { KeySource } from '../crypto/key-ring.ts'
import type { RandomBytes } from '../crypto/random.ts'
import { type Binding, createOpener, createSealer } from '../crypto/seal.ts'
import { codecs } from './contents.ts'
import type { Field } from './fields.ts'
import { openContent } from './open.ts'
import { RecordError } from './record-bytes.ts'
import { type RecordCodec, createRecordCodec, optional } from './record.ts'
import type { SessionCookies } from './session.ts'

/** Seals the outcome of a refresh for the shared store, which may be read or written by others. */
export interface SuccessorBox {
  /** `key` is the name under which the store keeps the value; it opens under no other. */
  seal(key: string, cookies: SessionCookies): string
  /** Undefined when the value was not sealed for `key`. */
  open(key: string, value: string): SessionCookies | undefined
}

/**
 * A box under the refresh purpose, whose key no proxy has.
 *
 * The key is part of what is authenticated: whoever can write to the store could otherwise give one user the new cookies
 * of another by swapping two values.
 */
export function createSuccessorBox(parts: { keys: KeySource; binding: Binding; random: RandomBytes }): SuccessorBox {
  const sealFor = createSealer(parts)
  const openFor = createOpener(parts)
  const slot = (key: string) => ({ name: `successor:${key}`, purpose: 'refresh' }) as const
  return {
    seal: (key, cookies) => sealFor(slot(key))(codec.encode(cookies)),
    open(key, value) {
      const opened = openContent(openFor(slot(key)), codec, value)
      return opened.kind === 'opened' ? opened.content : undefined
    },
  }
}

const codec = createRecordCodec<SessionCookies>({
  access: whole(codecs.access),
  refresh: optional(whole(codecs.refresh)),
  identity: whole(codecs.identity),
})

/** A complete record, version and all, preceded by its length. */
function whole<T>(inner: RecordCodec<T>): Field<T> {
  return {
    write(out, value) {
      const bytes = inner.encode(value)
      out.varint(bytes.length)
      out.raw(bytes)
    },
    read(input) {
      const content = inner.decode(input.raw(input.varint()))
      if (content === undefined) throw new RecordError('not a record')
      return content
    },
  }
}
