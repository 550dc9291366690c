import type { Reading } from './observe.ts'

/** The audit rows of the event table as JSON lines of their own, for a file that is kept apart from the log. */
export function createAudit(write: (line: string) => void): Reading {
  return ({ name, row, timeMs, fields }) => {
    if (!row.audit) return
    write(`${JSON.stringify({ time: new Date(timeMs).toISOString(), event: name, audit: true, ...fields })}\n`)
  }
}
