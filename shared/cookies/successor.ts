import type { KeySource } from '../crypto/key-ring.ts'
import type { RandomBytes } from '../crypto/random.ts'
import { type Binding, createOpener, createSealer } from '../crypto/seal.ts'
import { codecs } from './contents.ts'
import type { Field } from './fields.ts'
import { openContent } from './open.ts'
import { RecordError } from './record-bytes.ts'
import { type RecordCodec, createRecordCodec, optional } from './record.ts'
import type { SessionCookies } from './session.ts'

/** Seals the outcome of a refresh or a sign-in for the shared store, which may be read or written by others. */
export interface SuccessorBox {
  /** `ticket` is the hash of what was presented, with which the name in the store ends; the value opens for no other. */
  seal(ticket: string, cookies: SessionCookies): string
  /** Undefined when the value was not sealed for `ticket`. */
  open(ticket: string, value: string): SessionCookies | undefined
}

/**
 * A box under the refresh purpose, whose key no proxy has.
 *
 * The ticket is part of what is authenticated: whoever can write to the store could otherwise give one user the new cookies
 * of another by swapping two values.
 */
export function createSuccessorBox(parts: { keys: KeySource; binding: Binding; random: RandomBytes }): SuccessorBox {
  const sealFor = createSealer(parts)
  const openFor = createOpener(parts)
  const slot = (ticket: string) => ({ name: `successor:${ticket}`, purpose: 'refresh' }) as const
  return {
    seal: (ticket, cookies) => sealFor(slot(ticket))(codec.encode(cookies)),
    open(ticket, value) {
      const opened = openContent(openFor(slot(ticket)), codec, value)
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
