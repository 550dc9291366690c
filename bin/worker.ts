import { exitCodeOf, failureText } from './failure.ts'
import { type Applied, settingsInForce } from './follow-settings.ts'
import { type Serving, type ServingOptions, startServing } from './serving.ts'
import type { Terminal } from './terminal.ts'
import type { Asked, Told } from './worker-messages.ts'

const stateMs = 1000

/** Serves as one worker of several until the primary says stop; Node ends it at once when the primary is gone. */
export async function runWorker(options: ServingOptions, terminal: Terminal): Promise<void> {
  // Ctrl-C reaches the whole process group; only the primary decides what it means.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined)
  answerForLostConnections()
  let listens = false
  const onListen = (): void => void (listens = true)
  const starting = new Promise<Serving>((resolve) => {
    process.on('message', (asked: Asked) => {
      // Whoever listens now would open the port anew that the others close.
      if ((asked.kind === 'retire' || asked.kind === 'stop') && !listens) process.exit(0)
      if (asked.kind === 'start') resolve(startWorker({ ...options, onListen }, asked))
      else void starting.then((serving) => carryOut(asked, serving))
    })
  })
  const serving = await starting.catch((error: unknown) => {
    terminal.err(failureText(error))
    process.exit(exitCodeOf(error))
  })
  tell({ kind: 'ready', port: serving.port })
  const report = (): void => {
    tell({ kind: 'state', reasons: Object.values(serving.checks).flatMap((check) => check() ?? []) })
    options.clock.after(stateMs, report)
  }
  report()
}

async function startWorker(options: ServingOptions, asked: Asked & { readonly kind: 'start' }): Promise<Serving> {
  const onApplied = (applied: Applied): void => tell({ kind: 'applied', ...applied })
  return startServing({ ...options, onApplied }, settingsInForce(options.source, asked))
}

function carryOut(asked: Asked, serving: Serving): void {
  if (asked.kind === 'stop') {
    serving.observe.emit('process.stopping', { signal: asked.signal })
    void serving.stop().then(() => process.exit(0))
  }
  if (asked.kind === 'reload') serving.reload()
  if (asked.kind === 'retire') serving.retire()
  if (asked.kind === 'ping') tell({ kind: 'pong' })
  if (asked.kind === 'measure') void serving.metrics.snapshot().then((snapshot) => tell({ kind: 'metrics', snapshot }))
}

function tell(told: Told): void {
  if (process.connected) process.send?.(told)
}

/**
 * Settles a connection that was handed over while this process had no file descriptor left for it.
 *
 * Node (lib/internal/cluster/) sends no answer for it, but hands over no other before it has one: the worker would get
 * no connection for the rest of its life, and count as ready. The answer makes the primary close the lost one, as the
 * system library does with what it cannot accept.
 */
function answerForLostConnections(): void {
  process.on('internalMessage', ({ cmd, msg }: Handover, connection: object | null) => {
    const isLost = cmd === 'NODE_HANDLE' && msg?.act === 'newconn' && connection === null
    if (isLost && process.connected) process.send?.({ cmd: 'NODE_CLUSTER', ack: msg.seq, accepted: true })
  })
}

/** A message of Node's own; `msg` is what the primary sent with a connection. */
interface Handover {
  readonly cmd: string
  readonly msg?: { readonly act: string; readonly seq: number }
}
