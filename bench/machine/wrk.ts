import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { pinned } from './process.ts'
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

const run = promisify(execFile)

/** Keeps the connections busy for `seconds` from the load core. Throws Error when wrk is not installed. */
export async function saturate(target: LoadTarget, seconds: number): Promise<LoadResult> {
  const wrk = pathOfTool('wrk')
  if (wrk === undefined) throw missingTool('wrk')
  const headers = target.headers.flatMap((line) => ['-H', line])
  const url = `http://127.0.0.1:${target.port}${target.path}`
  const connections = `-c${target.connections ?? 64}`
  const script = target.script === undefined ? [] : ['-s', target.script]
  const timing = ['--timeout', '30s', `-d${seconds}s`]
  const [command = wrk, ...args] = pinned('load', [wrk, '-t1', connections, ...timing, ...script, ...headers, url])
  const { stdout } = await run(command, args)
  return parseWrk(stdout)
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
