import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from './free-port.ts'

/** A Valkey or Redis server of its own on loopback, that a test may stop, freeze and start again. */
export interface ValkeyServer {
  readonly url: string
  readonly port: number
  /** Stops answering without closing a connection, as a server does that hangs. */
  freeze(): void
  thaw(): void
  /** Ends the server; what it kept is gone. */
  stop(): Promise<void>
  /** Starts it again on the same port. */
  start(): Promise<void>
}

/** Starts a server; throws an error that says what to install when there is none. */
export async function startValkey(options: { arguments?: readonly string[] } = {}): Promise<ValkeyServer> {
  const command = ['valkey-server', 'redis-server'].find((name) => spawnSync(name, ['--version']).status === 0)
  if (command === undefined) {
    throw new Error('This test needs a server: apt-get install valkey-server, or redis-server')
  }
  const directory = await mkdtemp(join(tmpdir(), 'valkey-'))
  const port = await freePort()
  let stopServer: (() => Promise<void>) | undefined
  let pid: number | undefined

  async function start(): Promise<void> {
    await mkdir(directory, { recursive: true })
    const settings = [
      '--bind',
      '127.0.0.1',
      '--port',
      `${port}`,
      '--dir',
      directory,
      '--save',
      '',
      '--appendonly',
      'no',
    ]
    const child = spawn(String(command), [...settings, ...(options.arguments ?? [])], { stdio: 'ignore' })
    pid = child.pid
    stopServer = async () => {
      if (child.exitCode !== null) return
      const exit = once(child, 'exit')
      child.kill('SIGKILL')
      await exit
    }
    while (!(await accepts(port)))
      if (child.exitCode !== null) throw new Error(`${command} ended with ${child.exitCode}`)
  }

  const signal = (name: 'SIGSTOP' | 'SIGCONT') => {
    if (pid !== undefined) process.kill(pid, name)
  }
  await start()
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    freeze: () => signal('SIGSTOP'),
    thaw: () => signal('SIGCONT'),
    start,
    async stop() {
      await stopServer?.()
      await rm(directory, { recursive: true, force: true })
    },
  }
}

async function accepts(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}
