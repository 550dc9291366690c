import cluster from 'node:cluster'
import { type Command, InvalidArgumentError } from 'commander'
import { systemClock } from '../../shared/clock.ts'
import { settingsSource } from '../../shared/config/load.ts'
import { loadKeys } from '../load-keys.ts'
import { partChecks, processChecks } from '../part-checks.ts'
import type { Mode } from '../parts.ts'
import { inspectorWarning } from '../runtime.ts'
import { endOnUncaught, followSignals } from '../signals.ts'
import { type RunningProcess, startSingle } from '../single.ts'
import type { Terminal } from '../terminal.ts'
import { runWorker, startPrimary } from '../workers.ts'
import { keepYoungGenerationSmall } from '../young-generation.ts'

const modes: Readonly<Record<Mode, string>> = {
  serve: 'Run agent and proxy in one process.',
  agent: 'Run the OAuth agent alone.',
  proxy: 'Run the OAuth proxy alone.',
}

/** `serve`, `agent`, `proxy`. */
export function addRunCommands(program: Command, terminal: Terminal): void {
  for (const mode of ['serve', 'agent', 'proxy'] as const) {
    program
      .command(mode)
      .description(modes[mode])
      .option('-w, --workers <number>', 'processes that share the port, in place of operations.workers', parseWorkers)
      .action(({ workers }: { workers?: number }) =>
        run(mode, program.opts<{ config?: string }>().config, workers, terminal),
      )
  }
}

async function run(
  mode: Mode,
  file: string | undefined,
  workersOption: number | undefined,
  terminal: Terminal,
): Promise<void> {
  const source = settingsSource(file, [...partChecks, ...processChecks(mode, workersOption)])
  const options = { mode, source, clock: systemClock, say: terminal.err }
  endOnUncaught()
  keepYoungGenerationSmall(process)
  if (cluster.isWorker) return runWorker(options, terminal)

  const warning = inspectorWarning({ execArgv: process.execArgv, nodeOptions: process.env['NODE_OPTIONS'] })
  if (warning !== undefined) terminal.err(warning)
  const config = source.parse(source.readText())
  await loadKeys(config.keys.file, mode)
  const workers = workersOption ?? config.operations.workers
  const running: RunningProcess =
    workers > 1 ? await startPrimary({ ...options, config, workers }) : await startSingle(options)
  followSignals(running)
  if (process.stderr.isTTY) {
    terminal.err(
      `${mode} for ${running.publicOrigin} listens on port ${running.port}, operations on ${running.operationsPort}.`,
    )
  }
}

function parseWorkers(text: string): number {
  const workers = Number(text)
  if (/^\d{1,2}$/.test(text) && workers >= 1 && workers <= 64) return workers
  throw new InvalidArgumentError('A number from 1 to 64.')
}
