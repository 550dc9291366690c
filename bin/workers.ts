import cluster, { type Worker } from 'node:cluster'
import type { Clock } from '../shared/clock.ts'
import { readSettings } from '../shared/config/load.ts'
import type { Config } from '../shared/config/schema.ts'
import { createHealth } from '../shared/http/health.ts'
import { serve } from '../shared/http/serve.ts'
import { sumMetrics } from '../shared/observe/metrics-sum.ts'
import { CommandError, exitCodeOf, exitFailure, failureText } from './failure.ts'
import { listening } from './listening.ts'
import { type Serving, type ServingOptions, startServing } from './serving.ts'
import { watchSilence } from './silence.ts'
import { type RunningProcess, pause } from './single.ts'
import type { Terminal } from './terminal.ts'

/** What a worker tells its primary. */
type Told =
  | { readonly kind: 'ready'; readonly port: number }
  | { readonly kind: 'state'; readonly reasons: readonly string[] }
  | { readonly kind: 'metrics'; readonly snapshot: object }

/** What a primary asks of its workers. */
type Asked =
  | { readonly kind: 'measure' }
  | { readonly kind: 'reload' }
  | { readonly kind: 'retire' }
  | { readonly kind: 'stop'; readonly signal: string }

const restartMs = 1000
const measureMs = 2000
const stateMs = 1000
/** What a worker may need after the drain time, to let go of connections and to write its last lines. */
const stopMarginSeconds = 5

/** What is served, and by how many workers. */
export interface PrimaryOptions extends ServingOptions {
  readonly config: Config
  readonly workers: number
}

/**
 * Starts workers that share one port, replaces those that die or hang, and answers for all of them on the operations port.
 *
 * Throws CommandError when a worker cannot start at all, which has said why, or when the operations port cannot be had;
 * then no worker is left, or the primary would live on with them, without health checks and deaf to signals.
 */
export async function startPrimary({ config, workers, clock, say }: PrimaryOptions): Promise<RunningProcess> {
  const noProblem: readonly string[] = []
  const states = new Map<number, readonly string[]>()
  let stopping = false
  const giveUp = (error: unknown): never => {
    stopping = true
    for (const worker of living()) worker.process.kill('SIGKILL')
    throw error
  }

  const kill = (worker: Worker, problem: string): void => {
    say(`Worker ${worker.process.pid} ${problem} and is killed.`)
    // A process that the kernel holds fast dies late, and must not count as ready until then.
    states.delete(worker.id)
    worker.process.kill('SIGKILL')
  }
  const silence = watchSilence(clock, kill)

  const fork = (isFirst: boolean): Worker => {
    const worker = cluster.fork()
    let ready = false
    silence.add(worker)
    worker.on('message', (told: Told) => {
      // Its last words may be read after its end.
      if (worker.isDead()) return
      silence.heard(worker)
      if (told.kind === 'ready') {
        ready = true
        states.set(worker.id, noProblem)
      }
      if (told.kind === 'state') states.set(worker.id, told.reasons)
    })
    worker.on('exit', (code: number | null, signal: string | null) => {
      silence.remove(worker)
      states.delete(worker.id)
      if (stopping || (isFirst && !ready)) return
      say(`A worker ended (${signal === null ? `code ${code}` : signal}); another is started.`)
      clock.after(restartMs, () => {
        if (!stopping) fork(false)
      })
    })
    return worker
  }
  const started = await Promise.all(Array.from({ length: workers }, () => untilReady(fork(true)))).catch(giveUp)

  const health = createHealth({
    checks: {
      workers: () => (states.size === 0 ? 'no worker is ready' : [...states.values()].flat()[0]),
    },
    ...(config.observability.metrics ? { metrics: async () => sumMetrics(await snapshots(clock)) } : undefined),
  })
  const operations = await listening('operations.listen', config, (listen) =>
    serve({ handler: health, listen, clock, observe: { emit: () => undefined } }),
  ).catch(giveUp)

  return {
    port: started[0] ?? 0,
    operationsPort: operations.port,
    publicOrigin: config.publicOrigin,
    reload: () => askAll({ kind: 'reload' }),
    async stop(signal) {
      stopping = true
      health.stopping()
      askAll({ kind: 'retire' })
      await pause(clock, config.operations.shutdownWaitSeconds)
      const left = living()
      const ended = Promise.all(left.map(untilExit))
      askAll({ kind: 'stop', signal })
      await Promise.race([ended, pause(clock, config.operations.shutdownDrainSeconds + stopMarginSeconds)])
      for (const worker of left) if (!worker.isDead()) kill(worker, 'did not end in time')
      await Promise.race([ended, pause(clock, 1)])
      await operations.stop(0)
    },
  }
}

/** Serves as one worker of several until the primary says stop; Node ends it at once when the primary is gone. */
export async function runWorker(options: ServingOptions, terminal: Terminal): Promise<void> {
  // Ctrl-C reaches the whole process group; only the primary decides what it means.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined)
  const serving = await startWorker(options).catch((error: unknown) => {
    terminal.err(failureText(error))
    process.exit(exitCodeOf(error))
  })
  process.on('message', (asked: Asked) => {
    if (asked.kind === 'stop') {
      serving.observe.emit('process.stopping', { signal: asked.signal })
      void serving.stop().then(() => process.exit(0))
    }
    if (asked.kind === 'reload') serving.reload()
    if (asked.kind === 'retire') serving.retire()
    if (asked.kind === 'measure')
      void serving.metrics.snapshot().then((snapshot) => tell({ kind: 'metrics', snapshot }))
  })
  tell({ kind: 'ready', port: serving.port })
  const report = (): void => {
    tell({ kind: 'state', reasons: Object.values(serving.checks).flatMap((check) => check() ?? []) })
    options.clock.after(stateMs, report)
  }
  report()
}

async function startWorker(options: ServingOptions): Promise<Serving> {
  return startServing(options, readSettings(options.source))
}

function tell(told: Told): void {
  if (process.connected) process.send?.(told)
}

function askAll(asked: Asked): void {
  for (const worker of living()) ask(worker, asked)
}

/** A worker may have died unnoticed; without a callback the failed write would end the primary, and all others with it. */
function ask(worker: Worker, asked: Asked): void {
  worker.send(asked, () => undefined)
}

function living(): Worker[] {
  return Object.values(cluster.workers ?? {}).flatMap((worker) => (worker?.isConnected() === true ? [worker] : []))
}

function untilReady(worker: Worker): Promise<number> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null): void =>
      reject(new CommandError('The workers could not start.', code ?? exitFailure))
    worker.once('exit', onExit)
    worker.on('message', function onMessage(told: Told) {
      if (told.kind !== 'ready') return
      worker.off('exit', onExit)
      worker.off('message', onMessage)
      resolve(told.port)
    })
  })
}

function untilExit(worker: Worker): Promise<void> {
  return new Promise((resolve) => {
    if (worker.isDead()) resolve()
    else worker.once('exit', () => resolve())
  })
}

/** The metrics of all workers that answer in time. */
async function snapshots(clock: Pick<Clock, 'after'>): Promise<object[]> {
  const answers = living().map(
    (worker) =>
      new Promise<object[]>((resolve) => {
        const give = (snapshots: object[]): void => {
          worker.off('message', onMessage)
          cancel()
          resolve(snapshots)
        }
        const onMessage = (told: Told): void => {
          if (told.kind === 'metrics') give([told.snapshot])
        }
        const cancel = clock.after(measureMs, () => give([]))
        worker.on('message', onMessage)
        ask(worker, { kind: 'measure' })
      }),
  )
  return (await Promise.all(answers)).flat()
}
