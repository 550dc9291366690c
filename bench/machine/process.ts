import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { connect } from 'node:net'
import { availableParallelism } from 'node:os'
import { setTimeout as pause } from 'node:timers/promises'
import { missingTool, pathOfTool } from './tools.ts'

/** Which core a process runs on: the proxy under test has one to itself, load and upstream share the other. */
export type Core = 'measured' | 'load'

const cores: Readonly<Record<Core, string>> = { measured: '0', load: '1' }

export interface Started {
  readonly pid: number
  /** Everything it wrote to standard output and standard error so far. */
  output(): string
  /** Holds the process where it is, or lets it go on. */
  hold(held: boolean): void
  /** Ends the process and its children; resolves when it is gone and has said all. */
  stop(by?: NodeJS.Signals): Promise<void>
}

export interface StartOptions {
  readonly core: Core | 'any'
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
}

/**
 * Starts a program in the foreground, on its core where the system has two and `taskset`.
 *
 * Throws Error when the program is not installed.
 */
export function start(program: string, args: readonly string[], options: StartOptions): Started {
  const path = pathOfTool(program)
  if (path === undefined) throw missingTool(program)
  const [command, ...rest] = options.core === 'any' ? [path, ...args] : pinned(options.core, [path, ...args])
  const child = spawn(command ?? path, rest, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'], ...options.env },
    cwd: options.cwd,
    detached: true,
  })
  let text = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (data: Buffer) => {
      text = (text + data.toString('latin1')).slice(-20_000)
    })
  }
  child.on('error', (error) => {
    text += error.name
  })
  // It has a group of its own, so nobody else ends it when this process is interrupted.
  const orphaned = () => signal(child, 'SIGKILL')
  process.on('exit', orphaned)
  child.once('exit', () => process.off('exit', orphaned))
  return {
    pid: child.pid ?? 0,
    output: () => text,
    hold: (held) => signal(child, held ? 'SIGSTOP' : 'SIGCONT'),
    stop: (by = 'SIGTERM') => stop(child, by),
  }
}

export const canPin = availableParallelism() > 1 && pathOfTool('taskset') !== undefined

/** A command line that runs on one core, or the same line where the system cannot pin. */
export function pinned(core: Core, command: readonly string[]): string[] {
  return canPin ? ['taskset', '-c', cores[core], ...command] : [...command]
}

async function stop(child: ChildProcess, by: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return
  const gone = new Promise<void>((resolve) => {
    child.once('close', () => resolve())
  })
  signal(child, by)
  const killer = setTimeout(() => signal(child, 'SIGKILL'), 3000)
  await gone
  clearTimeout(killer)
}

/** Tells a child and its children. */
function signal({ pid, exitCode, signalCode }: ChildProcess, name: NodeJS.Signals): void {
  if (pid !== undefined && exitCode === null && signalCode === null) process.kill(-pid, name)
}

/** Resolves when something accepts connections on the loopback port or Unix socket; throws Error after `limitMs`. */
export async function listening(at: number | string, started: Started, limitMs = 10_000): Promise<void> {
  const until = performance.now() + limitMs
  while (!(await accepts(at))) {
    if (performance.now() > until || !existsSync(`/proc/${started.pid}`)) {
      throw new Error(`nothing listens at ${at}:\n${started.output()}`)
    }
    await pause(10)
  }
}

/** True when something accepts connections on the loopback port or Unix socket. */
export function accepts(at: number | string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = typeof at === 'string' ? connect(at) : connect(at, '127.0.0.1')
    const answer = (value: boolean) => {
      socket.destroy()
      resolve(value)
    }
    socket.once('connect', () => answer(true))
    socket.once('error', () => answer(false))
  })
}

const ticksPerSecond = 100

/** User and system CPU seconds of a process and all its children so far (proc(5), fields 14 and 15 of stat). */
export function cpuSeconds(pid: number): number {
  return family(pid).reduce((sum, each) => {
    const fields = statFields(each)
    return sum + (Number(fields[11]) + Number(fields[12])) / ticksPerSecond
  }, 0)
}

/** Resident memory of a process and its children in bytes, and the highest it ever was. */
export function memory(pid: number): { readonly now: number; readonly peak: number } {
  const sum = (name: string) => family(pid).reduce((total, each) => total + statusKilobytes(each, name) * 1024, 0)
  return { now: sum('VmRSS'), peak: sum('VmHWM') }
}

function family(pid: number): number[] {
  const parents = new Map<number, number>()
  for (const name of readdirSync('/proc')) {
    if (/^\d+$/.test(name)) parents.set(Number(name), Number(statFields(Number(name))[1]))
  }
  const isMember = (each: number): boolean => each === pid || (parents.has(each) && isMember(parents.get(each) ?? 0))
  return [...parents.keys()].filter(isMember)
}

/** The fields after the command name, which itself may hold spaces and parentheses. */
function statFields(pid: number): string[] {
  const text = readProc(pid, 'stat')
  return text.slice(text.lastIndexOf(')') + 2).split(' ')
}

function statusKilobytes(pid: number, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(readProc(pid, 'status'))?.[1] ?? 0)
}

function readProc(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1')
  } catch {
    return ''
  }
}
