import { pino } from 'pino'
import { type EventSink, withoutAddress } from './observe.ts'

/** What a log is made of. */
export interface LogParts {
  readonly level: (typeof levels)[number]
  /** Takes whole lines; must not block (see line-writer.ts). */
  readonly write: (line: string) => void
  /** True where there is no audit file: audit rows are then written here, marked, whatever the level. */
  readonly withAudit: boolean
}

const levels = ['debug', 'info', 'warn', 'error'] as const

/** Events as JSON lines: level, time, event name and fields. An audit row below the level is written at the level. */
export function createLog({ level, write, withAudit }: LogParts): EventSink {
  const logger = pino(
    {
      level,
      base: null,
      timestamp: false,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write },
  )
  // Asked once, because most events of a busy proxy are below the level.
  const enabled = new Set(levels.filter((each) => logger.isLevelEnabled(each)))
  return (event) => {
    const { name, row } = event
    const audit = withAudit && row.audit
    const at = enabled.has(row.level) ? row.level : audit ? level : undefined
    if (at === undefined) return
    const time = new Date(event.timeMs).toISOString()
    logger[at]({ time, event: name, ...(audit ? { audit, ...event.fields } : withoutAddress(event.fields)) })
  }
}
