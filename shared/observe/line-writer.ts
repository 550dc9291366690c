import { pino } from 'pino'

export interface LineWriterOptions {
  /** A file descriptor (1 is standard output) or the path of a file, made readable by its owner only. */
  readonly target: number | string
  /** What may wait unwritten; lines beyond it are dropped and counted. */
  readonly maxBytes?: number
  /** Called for every dropped line. */
  readonly onDrop?: () => void
}

export interface LineWriter {
  readonly write: (line: string) => void
  /** Opens the file again under its name, after a log rotation moved it away. */
  reopen(): void
  /** Resolves when everything is written or failed. */
  flush(): Promise<void>
}

/**
 * Writes lines without ever making a request wait (FI-18).
 *
 * Writing to a pipe through process.stdout blocks the whole process while nobody reads; here a full pipe or disk only
 * fills a bounded buffer.
 */
export function createLineWriter({ target, maxBytes = 4_194_304, onDrop }: LineWriterOptions): LineWriter {
  const destination = pino.destination({
    dest: target,
    sync: false,
    maxLength: maxBytes,
    // Anything is written at once; with 0 it would be too, but flushing would not wait for it.
    minLength: 1,
    append: true,
    mkdir: false,
    ...(typeof target === 'string' ? { mode: 0o600 } : undefined),
  })
  destination.on('drop', () => onDrop?.())
  destination.on('error', () => onDrop?.())
  return {
    write: (line) => {
      destination.write(line)
    },
    reopen: () => {
      if (typeof target === 'string') destination.reopen()
    },
    flush: () => new Promise((resolve) => destination.flush(() => resolve())),
  }
}
