import { closeSync, constants, fstatSync, openSync, write } from 'node:fs'
import type { Clock } from '../clock.ts'

/** Where lines go, and what happens to those that cannot. */
export interface LineWriterOptions {
  /** A file descriptor (1 is standard output) or the path of a file, made readable by its owner only. */
  readonly target: number | string
  readonly clock: Pick<Clock, 'after'>
  /** What may wait unwritten; lines beyond it are dropped and counted. */
  readonly maxBytes?: number
  /** Called for every dropped line. */
  readonly onDrop?: () => void
  /** Called when `reopen` failed, so that lines still go to the old file. */
  readonly onNotReopened?: (error: unknown) => void
}

/** Takes lines at once and writes them in its own time. */
export interface LineWriter {
  readonly write: (line: string) => void
  /** Opens the file again under its name, after a log rotation moved it away. */
  reopen(): void
  /** Resolves when nothing waits any more. */
  flush(): Promise<void>
}

const retryMs = 5
const lineEnd = Buffer.from('\n')

/**
 * Writes lines without ever making a request wait (FI-18); throws the error of `open` for a file that cannot be had.
 *
 * Writing to a pipe through process.stdout blocks the whole process while nobody reads; here a full pipe or disk only
 * fills a bounded queue.
 */
export function createLineWriter({
  target,
  clock,
  maxBytes = 4_194_304,
  onDrop = () => undefined,
  onNotReopened = () => undefined,
}: LineWriterOptions): LineWriter {
  let descriptor = open(target)
  let waiting: Buffer[] = []
  let waitingBytes = 0
  let writing = false
  let wantsReopen = false
  let brokenLine = false
  const idle: (() => void)[] = []

  function pump(): void {
    if (wantsReopen && !writing) exchange()
    // Whoever heard that a file could not be opened may have written of it.
    if (writing) return
    if (waiting.length === 0) {
      for (const resolve of idle.splice(0)) resolve()
      return
    }
    const batch = waiting
    const lines = batch.length
    waiting = []
    writing = true
    // A disk that is full takes half a line; the next one must not become its other half.
    if (brokenLine) {
      batch.unshift(lineEnd)
      waitingBytes += lineEnd.length
    }
    send(Buffer.concat(batch), lines)
  }

  /** Lines of one batch stay together: what did not fit is sent before anything else. */
  function send(bytes: Buffer, lines: number): void {
    write(descriptor, bytes, (error, written) => {
      if (error === null && written < bytes.length) {
        waitingBytes -= written
        if (written > 0) brokenLine = bytes[written - 1] !== lineEnd[0]
        send(bytes.subarray(written), lines)
        return
      }
      if (error?.code === 'EAGAIN') {
        clock.after(retryMs, () => send(bytes, lines))
        return
      }
      waitingBytes -= bytes.length
      if (error === null) brokenLine = false
      else for (let count = 0; count < lines; count++) onDrop()
      writing = false
      pump()
    })
  }

  function exchange(): void {
    wantsReopen = false
    try {
      const next = open(target)
      closeSync(descriptor)
      descriptor = next
      brokenLine = false
    } catch (error) {
      // The old file is better than none; the next rotation tries again.
      onNotReopened(error)
    }
  }

  return {
    write(line) {
      const bytes = Buffer.from(line)
      if (waitingBytes + bytes.length > maxBytes) {
        onDrop()
        return
      }
      waiting.push(bytes)
      waitingBytes += bytes.length
      pump()
    },
    reopen() {
      wantsReopen = typeof target === 'string'
      pump()
    },
    flush: () =>
      new Promise((resolve) => {
        idle.push(resolve)
        pump()
      }),
  }
}

/** Makes no difference for a file; a pipe without a reader would keep the whole process waiting, deaf to signals. */
const appending = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK

function open(target: number | string): number {
  return typeof target === 'string' ? openSync(target, appending, 0o600) : withoutBlocking(target)
}

/**
 * The same pipe, opened once more so that a write to it while it is full fails at once instead of waiting.
 *
 * A thread that waits in a write cannot be stopped: the process would hang even at its end. Where the system has no such
 * way to open it again, the descriptor stays as it is.
 */
function withoutBlocking(descriptor: number): number {
  try {
    if (!fstatSync(descriptor).isFIFO()) return descriptor
    return openSync(`/proc/self/fd/${descriptor}`, constants.O_WRONLY | constants.O_NONBLOCK)
  } catch {
    return descriptor
  }
}
