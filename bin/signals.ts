import { errorName } from '../shared/errors.ts'

/** What a process does with the signals that it gets. */
export interface SignalActions {
  /** Asked to end; a second request ends it at once. */
  readonly stop: (signal: string) => Promise<void>
  readonly reload: () => void
}

/**
 * Ends on SIGTERM and SIGINT with exit code 0, on a second one at once with 1; reloads on SIGHUP.
 *
 * To be called before anything is started, and what it returns once there is something to act on. Until then a stop ends
 * the process at once, since nothing is in flight, and a reload does nothing: as the first process of a container it would
 * not hear of a stop, and of a reload it would die.
 */
export function followSignals(): (running: SignalActions) => void {
  let running: SignalActions | undefined
  let stopping = false
  const onStop = (signal: NodeJS.Signals): void => {
    if (stopping) process.exit(1)
    stopping = true
    if (running === undefined) process.exit(0)
    running.stop(signal).then(
      () => process.exit(0),
      () => process.exit(1),
    )
  }
  process.on('SIGTERM', onStop)
  process.on('SIGINT', onStop)
  process.on('SIGHUP', () => running?.reload())
  return (started) => {
    running = started
  }
}

/**
 * Does nothing on SIGUSR1, on which Node opens its debugger: whoever reaches its port can read every key and token, and
 * log rotation sends this signal to other servers (N08).
 */
export function keepDebuggerShut(): void {
  process.on('SIGUSR1', () => undefined)
}

/**
 * Ends the process on a failure that nobody caught, with its name and where it happened but without its message or
 * members: errors of the OAuth libraries carry whole answers, tokens included.
 */
export function endOnUncaught(): void {
  process.on('uncaughtException', (error: unknown) => {
    const frames = error instanceof Error ? (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line)) : []
    console.error(
      JSON.stringify({ level: 'fatal', uncaught: errorName(error), stack: frames.map((frame) => frame.trim()) }),
    )
    process.exit(1)
  })
}
