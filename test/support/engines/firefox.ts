import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Engine, needPrograms, type Tab } from './engine.ts'

const program = '/usr/bin/firefox-esr'

type Command = (method: string, params: object) => Promise<Record<string, unknown>>

/** Starts a real Firefox and drives it with WebDriver BiDi (w3.org/TR/webdriver-bidi). */
export async function startFirefox(): Promise<Engine> {
  needPrograms([program], 'firefox-esr')
  const profile = await mkdtemp(join(tmpdir(), 'token-handler-firefox-'))
  const child = spawn(program, ['--headless', '--no-remote', '--profile', profile, '--remote-debugging-port', '0'], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, HOME: profile, MOZ_DISABLE_CONTENT_SANDBOX: '1' },
  })
  const exit = once(child, 'exit')
  const socket = new WebSocket(`${await address(child)}/session`)
  await once(socket, 'open')
  const command = commander(socket)
  await command('session.new', { capabilities: { alwaysMatch: { acceptInsecureCerts: true } } })
  return {
    async newTab() {
      const { context } = await command('browsingContext.create', { type: 'tab' })
      return tabOf(String(context), command)
    },
    async close() {
      await command('browser.close', {}).catch(() => child.kill())
      await exit
      await rm(profile, { recursive: true, force: true })
    },
  }
}

function address(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = ''
    child.stderr?.on('data', (data: Buffer) => {
      said = (said + data.toString()).slice(-4000)
      const [, url] = /WebDriver BiDi listening on (ws:\S+)\n/.exec(said) ?? []
      if (url !== undefined) resolve(url)
    })
    child.once('exit', () => reject(new Error(`Firefox did not start:\n${said}`)))
  })
}

function commander(socket: WebSocket): Command {
  const waiting = new Map<number, { resolve(result: Record<string, unknown>): void; reject(error: Error): void }>()
  let last = 0
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(String(data)) as { id?: number; result?: Record<string, unknown>; message?: string }
    const waiter = waiting.get(message.id ?? 0)
    waiting.delete(message.id ?? 0)
    if (message.result === undefined) waiter?.reject(new Error(message.message))
    else waiter?.resolve(message.result)
  }
  socket.onclose = () => {
    for (const { reject } of waiting.values()) reject(new Error('Firefox has gone'))
  }
  return (method, params) =>
    new Promise((resolve, reject) => {
      last += 1
      waiting.set(last, { resolve, reject })
      socket.send(JSON.stringify({ id: last, method, params }))
    })
}

function tabOf(context: string, command: Command): Tab {
  return {
    async goto(url) {
      await command('browsingContext.navigate', { context, url, wait: 'complete' })
    },
    async read(expression) {
      const { result, exceptionDetails } = await command('script.evaluate', {
        expression: `Promise.resolve(${expression}).then((value) => JSON.stringify(value ?? null))`,
        target: { context },
        awaitPromise: true,
      })
      if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails))
      return JSON.parse((result as { value: string }).value)
    },
  }
}
