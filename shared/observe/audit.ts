import type { Reading } from './observe.ts'

/** The audit rows of the event table as JSON lines, marked so that they can be told from log lines on the same stream. */
export function createAudit(write: (line: string) => void): Reading {
  return ({ name, row, timeMs, fields }) => {
    if (!row.audit) return
    write(`${JSON.stringify({ audit: name, time: new Date(timeMs).toISOString(), ...fields })}\n`)
  }
}
