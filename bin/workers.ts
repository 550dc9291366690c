import cluster, { type Worker } from 'node:cluster'
import type { ReadSettings } from '../shared/config/load.ts'
import { failureCode } from '../shared/failure-code.ts'
import { createHealth } from '../shared/http/health.ts'
import { serve } from '../shared/http/serve.ts'
import { sumMetrics } from '../shared/observe/metrics-sum.ts'
import { CommandError, exitFailure } from './failure.ts'
import { afterApplied, asStarted } from './follow-settings.ts'
import { closeWhatIsNotTaken } from './handed-over.ts'
import { listening } from './listening.ts'
import type { ServingOptions } from './serving.ts'
import { closeSharedSocket } from './shared-socket.ts'
import { watchSilence } from './silence.ts'
import { type RunningProcess, pause } from './single.ts'
import type { Asked, Told } from './worker-messages.ts'
import { createWorkerMetrics } from './worker-metrics.ts'

const longestRestartMs = 30_000
/** What the workers may need besides the drain time, to close their socket, let go of connections and write their last lines. */
const stopMarginSeconds = 5

/** What is served, and by how many workers. */
export interface PrimaryOptions extends ServingOptions {
  /** What every worker starts with, whatever the file says by then. */
  readonly settings: ReadSettings
  readonly workers: number
}

/**
 * Starts workers that share one port, replaces those that die or hang, and answers for all of them on the operations port.
 *
 * Throws CommandError when a worker cannot start at all, which has said why, or when the operations port cannot be had;
 * then no worker is left, or the primary would live on with them, without health checks and deaf to signals.
 */
export async function startPrimary({ settings, workers, clock, say }: PrimaryOptions): Promise<RunningProcess> {
  const { text, config } = settings
  let inForce = asStarted(text)
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
  const counts = createWorkerMetrics<Worker>({ clock, ask: (worker) => ask(worker, { kind: 'measure' }) })

  /** `failed` is how many before it died before they were ready; absent for those whose death ends the start. */
  const fork = (failed?: number): Worker => {
    const worker = cluster.fork()
    closeWhatIsNotTaken(worker.process)
    let ready = false
    const lost = (how: string): void => {
      silence.remove(worker)
      counts.remove(worker)
      states.delete(worker.id)
      if (stopping || (failed === undefined && !ready)) return
      const failures = ready ? 0 : (failed ?? 0) + 1
      const delayMs = restartDelayMs(failures)
      say(`A worker ${how}; another is started in ${delayMs / 1000} s.`)
      clock.after(delayMs, () => {
        if (!stopping) fork(failures)
      })
    }
    // Without a listener an error ends the primary, and all other workers with it.
    worker.on('error', (error) => {
      // One that began has an end, too, or falls silent.
      if (worker.process.pid !== undefined) return
      // Node forgets a worker at its exit only, which this one will not have.
      Reflect.deleteProperty(cluster.workers ?? {}, worker.id)
      lost(`could not be started (${forkProblem(error)})`)
    })
    ask(worker, { kind: 'start', ...inForce })
    silence.add(worker)
    worker.on('message', (told: Told) => {
      // Its last words may be read after its end.
      if (worker.isDead()) return
      if (told.kind === 'ready') {
        ready = true
        states.set(worker.id, noProblem)
      }
      if (ready) silence.heard(worker)
      if (told.kind === 'applied') inForce = afterApplied(inForce, told)
      if (told.kind === 'metrics') counts.heard(worker, told.snapshot)
      if (told.kind === 'state') states.set(worker.id, told.reasons)
    })
    worker.on('exit', (code: number | null, signal: string | null) => {
      lost(`ended (${signal === null ? `code ${code}` : signal})`)
    })
    return worker
  }
  const started = await Promise.all(Array.from({ length: workers }, () => untilReady(fork()))).catch(giveUp)

  const metrics = async (): ReturnType<typeof sumMetrics> =>
    sumMetrics(await counts.collect(living()), { asked: workers, ready: countReady(states.values()) })
  const health = createHealth({
    checks: {
      workers: () => (states.size === 0 ? 'no worker is ready' : [...states.values()].flat()[0]),
    },
    ...(config.observability.metrics ? { metrics } : undefined),
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
      const isTime = pause(clock, config.operations.shutdownDrainSeconds + stopMarginSeconds)
      await closeSharedSocket(left, { ping, clock, onReleased: (worker) => ask(worker, { kind: 'stop', signal }) })
      await Promise.race([ended, isTime])
      for (const worker of left) if (!worker.isDead()) kill(worker, 'did not end in time')
      await Promise.race([ended, pause(clock, 1)])
      await operations.stop(0)
    },
  }
}

/** The wait before a worker is replaced, which doubles with each replacement that died before it was ready. */
export function restartDelayMs(failures: number): number {
  return Math.min(1000 * 2 ** failures, longestRestartMs)
}

/** How many of these workers, each with its reasons against it, should get requests. */
export function countReady(reasonsOfEach: Iterable<readonly string[]>): number {
  return [...reasonsOfEach].filter((reasons) => reasons.length === 0).length
}

function askAll(asked: Asked): void {
  for (const worker of living()) ask(worker, asked)
}

/** A worker may have died unnoticed; without a callback the failed write would end the primary, and all others with it. */
function ask(worker: Worker, asked: Asked): void {
  if (worker.isConnected()) worker.send(asked, () => undefined)
}

/** What the system lacks to start one more process, by the error of `spawn`. */
const forkRemedies: Readonly<Record<string, string>> = {
  EAGAIN: 'raise the limit of processes',
  EMFILE: 'raise the limit of open files',
  ENFILE: 'raise the limit of open files of the machine',
  ENOENT: `${process.execPath} is missing`,
  EACCES: `${process.execPath} may not be run`,
}

function forkProblem(error: Error): string {
  const code = failureCode(error) ?? 'unknown'
  const remedy = forkRemedies[code]
  return remedy === undefined ? code : `${code}: ${remedy}`
}

function living(): Worker[] {
  return Object.values(cluster.workers ?? {}).flatMap((worker) => (worker?.isConnected() === true ? [worker] : []))
}

function untilReady(worker: Worker): Promise<number> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null): void =>
      reject(new CommandError('The workers could not start.', code ?? exitFailure))
    worker.once('exit', onExit)
    worker.on('error', (error) => {
      if (worker.process.pid === undefined)
        reject(new CommandError(`The workers could not start (${forkProblem(error)}).`))
    })
    worker.on('message', function onMessage(told: Told) {
      if (told.kind !== 'ready') return
      worker.off('exit', onExit)
      worker.off('message', onMessage)
      resolve(told.port)
    })
  })
}

/** Resolves with the answer, or when the worker is gone, as one is that had not begun to listen. */
function ping(worker: Worker): Promise<void> {
  return new Promise((resolve) => {
    const settle = (): void => {
      worker.off('message', onMessage).off('exit', settle)
      resolve()
    }
    const onMessage = (told: Told): void => {
      if (told.kind === 'pong') settle()
    }
    worker.on('message', onMessage).on('exit', settle)
    ask(worker, { kind: 'ping' })
  })
}

function untilExit(worker: Worker): Promise<void> {
  return new Promise((resolve) => {
    if (worker.isDead()) resolve()
    else worker.once('exit', () => resolve())
  })
}
