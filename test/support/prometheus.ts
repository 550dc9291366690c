import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import { stringify } from 'yaml'
import { root } from '../house/source-files.ts'
import { freePort } from './free-port.ts'
import { programPath } from './gateway.ts'

const alerts = join(root, 'deploy/prometheus/alerts.yaml')

/** A Prometheus server on loopback that reads our alert rules and the metrics of the given ports. */
export interface Prometheus {
  /** The `data` of an answer of its API (`/api/v1/…`); throws Error with its reason when it refuses. */
  ask(path: string, query?: Readonly<Record<string, string>>): Promise<unknown>
  stop(): Promise<void>
}

function program(name: string): string {
  const path = programPath(name)
  if (path === undefined) throw new Error(`This test needs ${name}: apt-get install prometheus`)
  return path
}

/** Runs `promtool test rules` over our alert rules; resolves with what it says, and throws Error when a test fails. */
export async function testAlertRules(tests: readonly object[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'token-handler-rules-'))
  try {
    const file = join(folder, 'tests.yaml')
    await writeFile(file, stringify({ rule_files: [alerts], evaluation_interval: '1m', tests }))
    const { stdout } = await promisify(execFile)(program('promtool'), ['test', 'rules', file])
    return stdout
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Starts a server that scrapes every second. */
export async function startPrometheus(jobs: Readonly<Record<string, readonly number[]>>): Promise<Prometheus> {
  const folder = await mkdtemp(join(tmpdir(), 'token-handler-prometheus-'))
  const port = await freePort()
  const settings = {
    global: { scrape_interval: '1s', evaluation_interval: '1s' },
    rule_files: [alerts],
    scrape_configs: Object.entries(jobs).map(([name, ports]) => ({
      job_name: name,
      static_configs: [{ targets: ports.map((each) => `127.0.0.1:${each}`) }],
    })),
  }
  const file = join(folder, 'prometheus.yaml')
  await writeFile(file, stringify(settings))
  const parameters = [`--config.file=${file}`, `--storage.tsdb.path=${folder}/data`]
  const child = spawn(program('prometheus'), [...parameters, `--web.listen-address=127.0.0.1:${port}`], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let log = ''
  child.stderr.on('data', (data: Buffer) => {
    log += data.toString('utf8')
  })
  const exit = once(child, 'exit')
  while (
    !(await fetch(`http://127.0.0.1:${port}/-/ready`).then(
      ({ ok }) => ok,
      () => false,
    ))
  ) {
    if (child.exitCode !== null) throw new Error(`Prometheus did not start:\n${log}`)
    await pause(50)
  }
  return {
    async ask(path, query = {}) {
      const answer = await fetch(`http://127.0.0.1:${port}/api/v1/${path}?${new URLSearchParams(query)}`)
      const { status, data, error } = (await answer.json()) as { status: string; data: unknown; error?: string }
      if (status !== 'success') throw new Error(error)
      return data
    },
    async stop() {
      child.kill('SIGTERM')
      await exit
      await rm(folder, { recursive: true, force: true })
    },
  }
}
