import type { Clock } from '../clock.ts'
import { type EventName, type EventRow, type FieldKind, type Observe, eventTable } from './events.ts'

/** One event as the sinks see it. */
export interface ObservedEvent {
  readonly name: EventName
  readonly row: EventRow
  readonly timeMs: number
  /** Only fields of its row, each checked against its kind. */
  readonly fields: CheckedFields
  /** The fields before the check; nothing of them may be kept or written that is not also in `fields`. */
  readonly given: Readonly<Record<string, unknown>>
}

/** Fields of an event whose values fit their kinds. */
export type CheckedFields = Readonly<Record<string, string | number | boolean>>

/** Makes something of events (log lines, counters, spans, audit lines); must not throw and must not wait. */
export type EventSink = (event: ObservedEvent) => void

/** What the events of a process go through. */
export interface ObserveParts {
  readonly clock: Pick<Clock, 'nowMs'>
  readonly sinks: readonly EventSink[]
}

/**
 * Fans events out to the sinks.
 *
 * Types already keep tokens out; values are checked once more here because a cast or an outside value could slip
 * through, and a log line is where attackers try to write (log injection).
 */
export function createObserve({ clock, sinks }: ObserveParts): Observe {
  return {
    emit(name, fields) {
      const event = new EmittedEvent(name, eventTable[name], fields, clock)
      for (const sink of sinks) {
        try {
          sink(event)
        } catch {
          // A sink that fails must not fail the request that it reports, and there is nobody else to report to.
        }
      }
    },
  }
}

/** Checks at the first sink that looks, since most events of a busy proxy are only counted. */
class EmittedEvent implements ObservedEvent {
  readonly name: EventName
  readonly row: EventRow
  readonly given: Readonly<Record<string, unknown>>
  readonly #clock: ObserveParts['clock']
  #timeMs: number | undefined
  #fields: CheckedFields | undefined

  constructor(name: EventName, row: EventRow, given: Readonly<Record<string, unknown>>, clock: ObserveParts['clock']) {
    this.name = name
    this.row = row
    this.given = given
    this.#clock = clock
  }

  get timeMs(): number {
    return (this.#timeMs ??= this.#clock.nowMs())
  }

  get fields(): CheckedFields {
    return (this.#fields ??= checkedFields(this.row, this.given))
  }
}

function checkedFields(row: EventRow, given: ObservedEvent['given']): CheckedFields {
  const checked: Record<string, string | number | boolean> = {}
  for (const name in given) {
    const value = given[name]
    const kind = row.fields[name]
    if (kind === undefined || value === undefined) continue
    checked[name] = isOfKind(kind, value) ? value : '[invalid]'
  }
  return checked
}

/** Fields for sinks other than the audit stream, to which alone addresses of clients are told. */
export function withoutAddress(fields: CheckedFields): CheckedFields {
  const { client_address: _left, ...others } = fields
  return others
}

interface TextForm {
  readonly shortest: number
  readonly longest: number
  /** Any character that may not occur. */
  readonly odd: RegExp
}

const textForms: Readonly<Partial<Record<FieldKind, TextForm>>> = {
  word: { shortest: 1, longest: 40, odd: /[^A-Za-z0-9_.:/-]/ },
  route: { shortest: 1, longest: 200, odd: /[^A-Za-z0-9_.:/*~-]/ },
  pseudonym: { shortest: 1, longest: 32, odd: /[^A-Za-z0-9_-]/ },
  address: { shortest: 2, longest: 45, odd: /[^0-9A-Fa-f:.]/ },
  requestId: { shortest: 8, longest: 64, odd: /[^A-Za-z0-9_-]/ },
}

/**
 * Methods that are reported by name (RFC 9110 §9, RFC 5789): a gateway hands on whatever its client makes up, and each
 * would be a time series that is kept for good (L13).
 */
const methods: ReadonlySet<unknown> = new Set([
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'PATCH',
  'DELETE',
  'OPTIONS',
  'CONNECT',
  'TRACE',
])

function isOfKind(kind: FieldKind, value: unknown): value is string | number | boolean {
  if (kind === 'method') return methods.has(value)
  const form = textForms[kind]
  if (form !== undefined) return typeof value === 'string' && isOfForm(form, value)
  return kind === 'flag' ? typeof value === 'boolean' : typeof value === 'number' && Number.isFinite(value)
}

function isOfForm({ shortest, longest, odd }: TextForm, text: string): boolean {
  return text.length >= shortest && text.length <= longest && !odd.test(text)
}
