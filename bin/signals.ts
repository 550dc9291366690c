/** What a process does with the signals that it gets. */
export interface SignalActions {
  /** Asked to end; a second request ends it at once. */
  readonly stop: (signal: string) => Promise<void>
  readonly reload: () => void
}

/** Ends on SIGTERM and SIGINT with exit code 0, on a second one at once with 1; reloads on SIGHUP. */
export function followSignals({ stop, reload }: SignalActions): void {
  let stopping = false
  const onStop = (signal: NodeJS.Signals): void => {
    if (stopping) process.exit(1)
    stopping = true
    stop(signal).then(
      () => process.exit(0),
      () => process.exit(1),
    )
  }
  process.on('SIGTERM', onStop)
  process.on('SIGINT', onStop)
  process.on('SIGHUP', reload)
}

/**
 * Ends the process on a failure that nobody caught, with its name and where it happened but without its message or
 * members: errors of the OAuth libraries carry whole answers, tokens included.
 */
export function endOnUncaught(): void {
  process.on('uncaughtException', (error: unknown) => {
    const frames = error instanceof Error ? (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line)) : []
    const name = error instanceof Error ? error.name : typeof error
    console.error(JSON.stringify({ level: 'fatal', uncaught: name, stack: frames.map((frame) => frame.trim()) }))
    process.exit(1)
  })
}
