import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** A module of this folder in a process of its own, which answers questions. */
export interface Asked<Ledger> {
  readonly port: number
  ledger(): Promise<Ledger>
  stop(): Promise<void>
}

/** Starts a module of this folder; it tells its port first, and its ledger whenever it is asked. */
export async function startAsked<Ledger>(name: string, ...parameters: string[]): Promise<Asked<Ledger>> {
  const file = fileURLToPath(new URL(`${name}.ts`, import.meta.url))
  const child = spawn(process.execPath, [file, ...parameters], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  const exit = once(child, 'exit')
  const answer = async (): Promise<unknown> => {
    const [message] = (await Promise.race([
      once(child, 'message'),
      exit.then(() => Promise.reject(new Error(`${name} ended`))),
    ])) as unknown[]
    return message
  }
  const { port } = (await answer()) as { port: number }
  return {
    port,
    ledger() {
      const answered = answer()
      child.send('ledger')
      return answered as Promise<Ledger>
    },
    async stop() {
      child.kill('SIGKILL')
      await exit
    },
  }
}

/** One agent or proxy as an operator runs it. */
export interface Replica {
  readonly port: number
  readonly operationsPort: number
  /** Value of a metric without labels, or with exactly these; 0 if it is not there. */
  metric(line: string): Promise<number>
  /** Says that keys and settings have changed. */
  reload(): void
  /** Asks it to end, waits until it has, and starts it again. */
  restart(): Promise<void>
  stop(): Promise<void>
}

export interface ReplicaOptions {
  readonly mode: 'agent' | 'proxy' | 'serve'
  readonly config: string
  readonly port: number
  readonly operationsPort: number
  /** Where its log lines go. */
  readonly log: string
  /** The command in another form than the sources. */
  readonly command?: string
}

/** Starts one process of the command and waits until it is ready. */
export async function startReplica(options: ReplicaOptions): Promise<Replica> {
  const operations = `http://127.0.0.1:${options.operationsPort}`
  let child = run(options)
  await ready(child, operations, options)

  async function stop(): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return
    const exit = once(child, 'exit')
    child.kill('SIGTERM')
    const [code] = (await exit) as [number | null]
    if (code !== 0) throw new Error(`${options.mode} ended with ${code}: ${readFileSync(options.log, 'utf8')}`)
  }

  return {
    port: options.port,
    operationsPort: options.operationsPort,
    async metric(line) {
      const text = await (await fetch(`${operations}/metrics`)).text()
      const found = text.split('\n').find((each) => each.startsWith(`${line} `))
      return Number(found?.slice(line.length + 1) ?? 0)
    },
    reload: () => void child.kill('SIGHUP'),
    async restart() {
      await stop()
      child = run(options)
      await ready(child, operations, options)
    },
    stop,
  }
}

function run({ mode, config, log, command = 'bin/token-handler.ts' }: ReplicaOptions): ChildProcess {
  const output = openSync(log, 'a')
  const child = spawn(process.execPath, [command, mode, '--config', config], {
    stdio: ['ignore', output, output],
  })
  closeSync(output)
  return child
}

async function ready(child: ChildProcess, operations: string, { mode, log }: ReplicaOptions): Promise<void> {
  for (;;) {
    if (child.exitCode !== null) throw new Error(`${mode} did not start: ${readFileSync(log, 'utf8')}`)
    const answer = await fetch(`${operations}/readyz`).catch(() => undefined)
    if (answer?.ok === true) return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
