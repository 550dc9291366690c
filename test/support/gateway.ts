import { type ChildProcess, spawn } from 'node:child_process'
import { accessSync, constants, existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { root } from '../house/source-files.ts'
import { freePort } from './free-port.ts'
import type { Gateway } from './gateway-question.ts'

/** How a recipe of `deploy/` is run by a test. */
export interface GatewayRecipe {
  readonly gateway: Gateway
  readonly program: string
  /** Files it needs beside its program, as alternatives each. */
  readonly needs?: readonly string[]
  /** How to get all of it. */
  readonly install: string
  /** Files of the recipe by their name in the folder of the test. */
  readonly files: Readonly<Record<string, string>>
  /** Texts of the recipe that name this machine's places, and what stands there in a test; each must occur. */
  readonly changes: (at: Places) => readonly (readonly [string, string])[]
  /** Files around the recipe, which the recipe leaves to its reader. */
  readonly around?: (at: Places) => Readonly<Record<string, string>>
  readonly command: (at: Places) => readonly string[]
  /** True when HTTP/2 needs a port of its own. */
  readonly separateH2?: boolean
}

/** Where everything is in one test. */
export interface Places {
  readonly folder: string
  readonly port: number
  /** For gateways that do not speak HTTP/2 without TLS beside HTTP/1.1 on one port. */
  readonly h2Port: number
  readonly proxyPort: number
  readonly agentPort: number
  readonly apiPort: number
  readonly secret: string
}

export interface RunningGateway {
  readonly port: number
  /** Where it speaks HTTP/2 without TLS. */
  readonly h2Port: number
  /** What it has written so far. */
  log(): string
  stop(): Promise<void>
}

/** The path of a program, or undefined when this machine does not have it. */
export function programPath(name: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin']
  return folders
    .map((folder) => join(folder, name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK)
        return true
      } catch {
        return false
      }
    })
}

/** Starts the gateway of a recipe as a child on loopback; throws Error with its log when it does not listen. */
export async function startGateway(
  recipe: GatewayRecipe,
  where: Omit<Places, 'folder' | 'port' | 'h2Port'>,
): Promise<RunningGateway> {
  const program = programPath(recipe.program)
  if (program === undefined || recipe.needs?.some((path) => existsSync(path)) === false) {
    throw new Error(`${recipe.gateway} is not installed with all it needs; ${recipe.install}`)
  }
  const at: Places = {
    ...where,
    folder: await mkdtemp(join(tmpdir(), 'token-handler-gateway-')),
    port: await freePort(),
    h2Port: await freePort(),
  }
  await writeRecipe(recipe, at)
  const child = spawn(program, recipe.command(at), {
    cwd: at.folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      PATH: process.env['PATH'],
      HOME: at.folder,
      TOKEN_HANDLER_GATEWAY_SECRET: at.secret,
      TOKEN_HANDLER_VERIFY_URL: `http://127.0.0.1:${at.proxyPort}/oauth-proxy/verify`,
    },
  })
  let log = ''
  const note = (data: Buffer) => {
    log += data.toString('utf8')
  }
  child.stdout.on('data', note)
  child.stderr.on('data', note)
  const gone = new Promise<void>((resolve) => {
    child.once('exit', () => resolve())
    child.once('error', () => resolve())
  })
  const stop = async () => {
    child.kill('SIGTERM')
    const timer = setTimeout(() => child.kill('SIGKILL'), 3000)
    await gone
    clearTimeout(timer)
    await rm(at.folder, { recursive: true, force: true })
  }
  try {
    await accepting(at.port, child)
  } catch {
    await stop()
    throw new Error(`${recipe.program} does not listen:\n${log}`)
  }
  return { port: at.port, h2Port: recipe.separateH2 === true ? at.h2Port : at.port, log: () => log, stop }
}

async function writeRecipe({ files, changes, around }: GatewayRecipe, at: Places): Promise<void> {
  const texts = await Promise.all(
    Object.entries(files).map(async ([name, path]) => [name, await readFile(join(root, path), 'utf8')] as const),
  )
  const missing = new Set(changes(at).map(([text]) => text))
  for (const [name, original] of texts) {
    let text = original
    for (const [from, to] of changes(at)) {
      if (text.includes(from)) missing.delete(from)
      text = text.replaceAll(from, to)
    }
    await writeFile(join(at.folder, name), text)
  }
  if (missing.size > 0) throw new Error(`the recipe no longer holds ${[...missing].join(', ')}`)
  for (const [name, text] of Object.entries(around?.(at) ?? {})) await writeFile(join(at.folder, name), text)
}

async function accepting(port: number, child: ChildProcess): Promise<void> {
  for (let attempt = 0; attempt < 1000 && child.exitCode === null; attempt += 1) {
    if (await accepts(port)) return
    await pause(10)
  }
  throw new Error('not listening')
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
