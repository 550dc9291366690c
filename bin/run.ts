import cluster from 'node:cluster'
import { systemClock } from '../shared/clock.ts'
import { readSettings, settingsSource } from '../shared/config/load.ts'
import { suitCollector } from './collector-flags.ts'
import { memoryWarning, processChecks } from './part-checks.ts'
import { type Mode, listeningPart } from './parts.ts'
import { inspectorWarning } from './runtime.ts'
import { endOnUncaught, followSignals, keepDebuggerShut } from './signals.ts'
import { type RunningProcess, startSingle } from './single.ts'
import { startChecks } from './start-checks.ts'
import { clearStaleSocket } from './stale-socket.ts'
import type { Terminal } from './terminal.ts'
import { runWorker } from './worker.ts'
import { startPrimary } from './workers.ts'

/** What the command line asks for. */
export interface RunOptions {
  readonly mode: Mode
  readonly file: string | undefined
  /** In place of the setting. */
  readonly workers: number | undefined
  readonly terminal: Terminal
}

/** Runs agent, proxy or both until a signal ends them; throws as `startServing` and `startPrimary` do. */
export async function run({ mode, file, workers: workersOption, terminal }: RunOptions): Promise<void> {
  const checks = processChecks(mode, workersOption)
  const source = settingsSource(file, checks)
  const options = { mode, source, clock: systemClock, say: terminal.err }
  endOnUncaught()
  keepDebuggerShut()
  suitCollector(process)
  if (cluster.isWorker) return runWorker(options, terminal)
  const follow = followSignals()

  const settings = readSettings(settingsSource(file, [...checks, ...startChecks(mode, systemClock)]))
  const { config } = settings
  await clearStaleSocket(config, mode)
  const workers = workersOption ?? config.operations.workers
  const warnings = [
    inspectorWarning({ execArgv: process.execArgv, nodeOptions: process.env['NODE_OPTIONS'] }),
    memoryWarning(config, mode, workers),
  ]
  for (const warning of warnings) if (warning !== undefined) terminal.err(warning)
  const running: RunningProcess =
    workers > 1 ? await startPrimary({ ...options, settings, workers }) : await startSingle(options, settings)
  follow(running)
  if (process.stderr.isTTY) {
    const { socket } = config[listeningPart(mode)].listen
    terminal.err(
      `${mode} for ${running.publicOrigin} listens on ${socket ?? `port ${running.port}`}, operations on ${running.operationsPort}.`,
    )
  }
}
