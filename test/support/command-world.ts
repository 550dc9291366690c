import { type ChildProcess, execFileSync, type StdioOptions, spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ConnectionOptions } from 'node:tls'
import { fileURLToPath } from 'node:url'
import { expect } from 'vitest'
import { formatKeyRingFile } from '../../shared/crypto/key-ring-file.ts'
import { testKeys } from './installation.ts'
import { openRaw } from './raw-http.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
export const patience = { timeout: 30_000 }

/** The command in one of its forms. */
export interface CommandProgram {
  readonly command: string
  /** Where Node keeps what it has compiled, if anywhere: every process would do it anew. */
  readonly compileCache: string | undefined
}

const sources: CommandProgram = {
  command: join(root, 'bin/token-handler.ts'),
  compileCache: process.env['NODE_COMPILE_CACHE'],
}

/** Makes the program of the image in an empty folder. It starts in a third of the time of the sources. */
export function bundleCommand(folder: string): CommandProgram {
  execFileSync(process.execPath, ['deploy/bundle.ts', folder], { cwd: root })
  return { command: join(folder, 'bin/token-handler.js'), compileCache: join(folder, 'compiled') }
}

/** The command at work on a folder with settings and keys; `close` ends what it started. */
export function createCommandWorld({ command, compileCache } = sources) {
  const folder = mkdtempSync(join(tmpdir(), 'token-handler-'))
  writeFileSync(join(folder, 'keys.json'), formatKeyRingFile(testKeys()))
  const children: ChildProcess[] = []
  /** What the next `writeSettings` writes. */
  const settings = { listen: '{ port: 0 }', operationsPort: 0, drainSeconds: 600 }

  function writeSettings(route: string, more = ''): void {
    writeFileSync(
      join(folder, 'settings.yaml'),
      `public_origin: http://localhost:3000
insecure_allow_http: true
authorization_server: { issuer: "http://127.0.0.1:9" }
client: { id: app, authentication: client_secret_basic, secret: "\${SECRET}" }
keys: { file: keys.json }
proxy: { listen: ${settings.listen}, routes: [{ path: ${route}, upstream: "http://127.0.0.1:9" }] }
operations: { listen: { port: ${settings.operationsPort} }, shutdown_wait_seconds: 0, shutdown_drain_seconds: ${settings.drainSeconds}, trusted_proxies: ["unix:"] }
${more}
`,
    )
  }

  function run(args: readonly string[], stdio: StdioOptions = 'pipe'): ChildProcess {
    const child = spawn(process.execPath, [command, ...args], {
      cwd: folder,
      env: {
        TOKEN_HANDLER_CONFIG: 'settings.yaml',
        SECRET: 'do-not-show-me',
        ...(compileCache !== undefined && { NODE_COMPILE_CACHE: compileCache }),
      },
      stdio,
    })
    children.push(child)
    return child
  }

  /** Starts the executable, and waits until `processes` of them listen. */
  async function start(processes: number, ...args: string[]) {
    writeSettings('/api/**')
    const child = run(args)
    let out = ''
    let errors = ''
    child.stdout?.on('data', (chunk: Buffer) => void (out += chunk.toString()))
    child.stderr?.on('data', (chunk: Buffer) => void (errors += chunk.toString()))
    const ended = new Promise<number | null>((resolve) => child.once('exit', resolve))
    const lines = () =>
      out
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line) as Record<string, unknown>)
    const ports = () => lines().flatMap(({ event, port }) => (event === 'process.started' ? [Number(port)] : []))
    await expect
      .poll(() => [ports().length, errors.replace(/^With store.kind: memory each .*\n/, '')], patience)
      .toEqual([processes, ''])
    return { child, ended, lines, ports, events: () => lines().map(({ event }) => event), errors: () => errors }
  }

  return {
    folder,
    settings,
    writeSettings,
    run,
    start,
    async askOperations(path: string): Promise<string> {
      const connection = await openRaw(settings.operationsPort)
      connection.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`)
      return connection.closed()
    },
    close(): void {
      for (const child of children) child.kill('SIGKILL')
      rmSync(folder, { recursive: true })
    },
  }
}

export type CommandWorld = ReturnType<typeof createCommandWorld>

/** Asks as a page of ours does, over TLS with options for it; resolves with all that the other side wrote. */
export async function ask(at: number | string, path: string, tls?: ConnectionOptions): Promise<string> {
  const connection = await openRaw(at, tls)
  connection.write(
    `GET ${path} HTTP/1.1\r\nHost: localhost:3000\r\nToken-Handler-Version: 1\r\nSec-Fetch-Site: same-origin\r\nConnection: close\r\n\r\n`,
  )
  return connection.closed()
}

/** `T` for a process that is stopped, `Z` for one that is dead and not yet noticed. */
export function stateOf(pid: number): string | undefined {
  return statusOf(pid)?.[1]
}

/** The processes that `parent` has started; read here, because a bare Debian has no program that tells. */
export function childrenOf(parent: number | undefined): number[] {
  return readdirSync('/proc')
    .filter((name) => /^[0-9]+$/.test(name))
    .map(Number)
    .filter((pid) => Number(statusOf(pid)?.[2]) === parent)
}

/** State and parent of a process, if it is still there. */
function statusOf(pid: number): RegExpExecArray | null {
  try {
    return /\) (\w) (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return null
  }
}
