import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { pinned, start } from './process.ts'
import { missingTool, pathOfTool } from './tools.ts'

export interface LoadTarget {
  readonly port: number
  readonly path: string
  /** Complete header lines such as `Cookie: a=b`. */
  readonly headers: readonly string[]
  /** Connections kept busy; 64 if absent. */
  readonly connections?: number
  /** Lua script for wrk that makes the requests. */
  readonly script?: string
}

export interface LoadResult {
  readonly requests: number
  readonly seconds: number
  /** Answers that were not 2xx or 3xx, and socket errors. */
  readonly errors: number
}

/** A load that takes turns with others. */
export interface LoadInTurns {
  /** Lets it rest; its last requests are answered, but it sends no more. */
  rest(): void
  goOn(): void
  /** Ends it where it rests. Throws Error when wrk prints no summary. */
  end(): Promise<LoadResult>
}

const run = promisify(execFile)

/** Keeps the connections busy for `seconds` from the load core. Throws Error when wrk is not installed. */
export async function saturate(target: LoadTarget, seconds: number): Promise<LoadResult> {
  const wrk = pathOfTool('wrk')
  if (wrk === undefined) throw missingTool('wrk')
  const [command = wrk, ...args] = pinned('load', [wrk, ...argumentsFor(target, seconds)])
  const { stdout } = await run(command, args)
  return parseWrk(stdout)
}

/** Starts to keep the connections busy from the load core. Throws Error when wrk is not installed. */
export function startLoad(target: LoadTarget): LoadInTurns {
  const started = start('wrk', argumentsFor(target, longerThanAnyRoundSeconds), { core: 'load' })
  return {
    rest: () => started.hold(true),
    goOn: () => started.hold(false),
    async end() {
      // wrk takes this for the end of its time, and prints its summary; it reads the answers that are there already.
      const ended = started.stop('SIGINT')
      started.hold(false)
      await ended
      return parseWrk(started.output())
    },
  }
}

const longerThanAnyRoundSeconds = 3600

/** Connections of a load that does not name their number. */
export const defaultConnections = 64

/** How many connections a load keeps busy. */
export function connectionsOf(target: LoadTarget): number {
  return target.connections ?? defaultConnections
}

function argumentsFor(target: LoadTarget, seconds: number): string[] {
  const headers = target.headers.flatMap((line) => ['-H', line])
  const script = target.script === undefined ? [] : ['-s', target.script]
  const url = `http://127.0.0.1:${target.port}${target.path}`
  return ['-t1', `-c${connectionsOf(target)}`, '--timeout', '30s', `-d${seconds}s`, ...script, ...headers, url]
}

/** Reads the summary that wrk prints. Throws Error for text that is no summary. */
export function parseWrk(text: string): LoadResult {
  const summary = /(\d+) requests in ([\d.]+)(ms|s|m),/.exec(text)
  if (summary === null) throw new Error(`not a summary of wrk:\n${text}`)
  const unit = summary[3] === 'ms' ? 0.001 : summary[3] === 'm' ? 60 : 1
  const sockets = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(text)
  const socketErrors = (sockets ?? []).slice(1).reduce((sum, count) => sum + Number(count), 0)
  const refused = Number(/Non-2xx or 3xx responses: (\d+)/.exec(text)?.[1] ?? 0)
  return { requests: Number(summary[1]), seconds: Number(summary[2]) * unit, errors: socketErrors + refused }
}
