import { pino } from 'pino'
import type { Reading } from './observe.ts'

export interface LogParts {
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  /** Takes whole lines; must not block (see bounded-writer.ts). */
  readonly write: (line: string) => void
}

/** Events as JSON lines: level, time, event name and fields. */
export function createLog({ level, write }: LogParts): Reading {
  const logger = pino(
    {
      level,
      base: null,
      timestamp: false,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write },
  )
  return ({ name, row, timeMs, fields }) => {
    if (!logger.isLevelEnabled(row.level)) return
    logger[row.level]({ time: new Date(timeMs).toISOString(), event: name, ...fields })
  }
}
