import type { Clock } from '../clock.ts'
import { ConfigError } from '../config/problem.ts'
import type { Observe } from '../observe/events.ts'
import type { KeyRing, KeySource } from './key-ring.ts'

interface KeyFileParts {
  /** The text of the file as it is now. */
  readonly readText: () => Promise<string>
  /** Throws ConfigError for a ring that this process cannot use. */
  readonly parse: (text: string) => KeyRing
  readonly clock: Clock
  readonly observe: Observe
  readonly pollSeconds?: number
  /** Called with the reasons why a changed file is not used. */
  readonly onRejected: (error: unknown) => void
}

/** A key ring that follows its file. */
export interface KeyFile extends KeySource {
  /** Reads the file now instead of at the next poll. */
  reload(): Promise<void>
  close(): void
}

/**
 * Reads the ring and then checks every `pollSeconds` (5) whether its text has changed.
 *
 * Polling sees what notifications miss: network file systems, and secrets that an orchestrator swaps by a symbolic
 * link. A file that cannot be read or used leaves the ring in force and is reported once as `config.rejected` (FI-26); only
 * here, at the first reading, does it throw.
 */
export async function openKeyFile({
  readText,
  parse,
  clock,
  observe,
  onRejected,
  pollSeconds = 5,
}: KeyFileParts): Promise<KeyFile> {
  let text: string | undefined = await readText()
  let ring = parse(text)
  let closed = false
  let reading: Promise<void> | undefined
  let cancel = clock.after(pollSeconds * 1000, poll)

  return {
    current: () => ring,
    reload,
    close() {
      closed = true
      cancel()
    },
  }

  function poll(): void {
    void reload().then(() => {
      if (!closed) cancel = clock.after(pollSeconds * 1000, poll)
    })
  }

  function reload(): Promise<void> {
    reading ??= readAgain().finally(() => {
      reading = undefined
    })
    return reading
  }

  async function readAgain(): Promise<void> {
    let failure: unknown
    const found = await readText().catch((error: unknown) => {
      failure = error
      return undefined
    })
    if (found === text || closed) return
    text = found
    if (found === undefined) return reject(failure)
    try {
      ring = parse(found)
      observe.emit('config.reloaded', { part: 'keys', key_id: ring.primaryKeyId })
    } catch (error) {
      reject(error)
    }
  }

  function reject(error: unknown): void {
    observe.emit('config.rejected', {
      part: 'keys',
      problems: error instanceof ConfigError ? error.problems.length : 1,
    })
    onRejected(error)
  }
}
