/** What a process does with the signals that it gets. */
export interface SignalActions {
  /** Asked to end; a second request ends it at once. */
  readonly stop: (signal: string) => Promise<void>
  readonly reload: () => void
}

/** Ends on SIGTERM and SIGINT, reloads on SIGHUP. */
export function followSignals({ stop, reload }: SignalActions): void {
  let stopping = false
  const onStop = (signal: NodeJS.Signals): void => {
    if (stopping) process.exit(1)
    stopping = true
    stop(signal).then(
      () => process.exit(process.exitCode ?? 0),
      () => process.exit(1),
    )
  }
  process.on('SIGTERM', onStop)
  process.on('SIGINT', onStop)
  process.on('SIGHUP', reload)
}
