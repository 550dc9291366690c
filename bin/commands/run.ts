import { availableParallelism } from 'node:os'
import { type Command, InvalidArgumentError } from 'commander'
import type { Mode } from '../parts.ts'
import type { Terminal } from '../terminal.ts'

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
      .option(
        '-w, --workers [number]',
        'processes that share the port, instead of operations.workers; one for each core if no number is given',
        parseWorkers,
      )
      .action(async ({ workers }: { workers?: number | true }) => {
        const { run } = await import('../run.ts')
        const file = program.opts<{ config?: string }>().config
        await run({ mode, file, workers: workers === true ? onePerCore() : workers, terminal })
      })
  }
}

const maxWorkers = 64

function onePerCore(): number {
  return Math.min(availableParallelism(), maxWorkers)
}

function parseWorkers(text: string): number {
  const workers = Number(text)
  if (/^\d{1,2}$/.test(text) && workers >= 1 && workers <= maxWorkers) return workers
  throw new InvalidArgumentError('A number from 1 to 64.')
}
