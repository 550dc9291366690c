import { execFile } from 'node:child_process'
import { Agent, request } from 'node:http'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { percentile } from './median.ts'
import { pinned } from './process.ts'
import type { LoadTarget } from './wrk.ts'

export interface SteadyResult {
  readonly p50Ms: number
  readonly p99Ms: number
  readonly errors: number
}

const run = promisify(execFile)

/**
 * Sends `rate` requests a second whatever the answers do, and measures each from the moment it was due.
 *
 * Counting from the due time keeps a stalled server from hiding the requests that waited behind the stall.
 */
export async function steady(target: LoadTarget, rate: number, seconds: number): Promise<SteadyResult> {
  const task = JSON.stringify({ target, rate, seconds })
  const [command = '', ...args] = pinned('load', [process.execPath, fileURLToPath(import.meta.url), task])
  const { stdout } = await run(command, args)
  return JSON.parse(stdout) as SteadyResult
}

interface Task {
  readonly target: LoadTarget
  readonly rate: number
  readonly seconds: number
}

async function measure({ target, rate, seconds }: Task): Promise<SteadyResult> {
  const agent = new Agent({ keepAlive: true, maxSockets: 32 })
  const headers = Object.fromEntries(target.headers.map((line) => line.split(': ', 2)))
  const latencies: number[] = []
  let errors = 0
  const one = (due: number) =>
    new Promise<void>((resolve) => {
      const call = request({ agent, host: '127.0.0.1', port: target.port, path: target.path, headers })
      const finish = (ok: boolean) => {
        if (ok) latencies.push(performance.now() - due)
        else errors += 1
        resolve()
      }
      call.on('error', () => finish(false))
      call.on('response', (response) => {
        response.resume()
        response.on('end', () => finish(response.statusCode === 200))
      })
      call.end()
    })
  const begin = performance.now()
  const calls: Promise<void>[] = []
  await new Promise<void>((resolve) => {
    const timer = setInterval(() => {
      const elapsed = performance.now() - begin
      while (calls.length < Math.min(elapsed / 1000, seconds) * rate)
        calls.push(one(begin + (calls.length * 1000) / rate))
      if (elapsed < seconds * 1000) return
      clearInterval(timer)
      resolve()
    }, 1)
  })
  await Promise.all(calls)
  agent.destroy()
  // The first third warms connections and code up, those of the load as well.
  const settled = latencies.slice(Math.floor(latencies.length / 3))
  return { p50Ms: percentile(settled, 0.5), p99Ms: percentile(settled, 0.99), errors }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const result = await measure(JSON.parse(process.argv[2] ?? '') as Task)
  process.stdout.write(JSON.stringify(result))
}
