import type { EventSink } from './observe.ts'

/** The audit rows of the event table as JSON lines of their own, for a file that is kept apart from the log. */
export function createAudit(write: (line: string) => void): EventSink {
  return (event) => {
    if (!event.row.audit) return
    const { name, timeMs, fields } = event
    write(`${JSON.stringify({ time: new Date(timeMs).toISOString(), event: name, audit: true, ...fields })}\n`)
  }
}
