import type { Command } from 'commander'
import { systemClock } from '../../shared/clock.ts'
import { loadConfig } from '../../shared/config/load.ts'
import { partChecks } from '../part-checks.ts'
import type { Mode } from '../parts.ts'
import { inspectorWarning } from '../runtime.ts'
import { followSignals } from '../signals.ts'
import { startProcess } from '../start.ts'

const modes: Readonly<Record<Mode, string>> = {
  serve: 'Run agent and proxy in one process.',
  agent: 'Run the OAuth agent alone.',
  proxy: 'Run the OAuth proxy alone.',
}

/** `serve`, `agent`, `proxy`. */
export function addRunCommands(program: Command): void {
  for (const mode of ['serve', 'agent', 'proxy'] as const) {
    program
      .command(mode)
      .description(modes[mode])
      .action(() => run(mode, program.opts<{ config?: string }>().config))
  }
}

async function run(mode: Mode, file: string | undefined): Promise<void> {
  const config = loadConfig(file, partChecks)
  const warning = inspectorWarning({ execArgv: process.execArgv, nodeOptions: process.env['NODE_OPTIONS'] })
  if (warning !== undefined) console.error(warning)
  const running = await startProcess({ mode, config, clock: systemClock })
  followSignals({ stop: (signal) => running.stop(signal), reload: () => running.reload() })
  if (process.stderr.isTTY) {
    console.error(
      `${mode} for ${config.publicOrigin} listens on port ${running.port}, operations on ${running.operationsPort}.`,
    )
  }
}
