import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { freePort } from '../free-port.ts'
import { type Engine, needPrograms, type Tab } from './engine.ts'

const browser = '/usr/lib/x86_64-linux-gnu/webkit2gtk-4.1/MiniBrowser'
const driver = '/usr/bin/WebKitWebDriver'
const display = '/usr/bin/Xvfb'

type Command = (method: 'GET' | 'POST' | 'DELETE', path: string, body?: object) => Promise<unknown>

/** Starts WebKitGTK, which has the engine of Safari, and drives it with WebDriver (w3.org/TR/webdriver2). */
export async function startWebKit(): Promise<Engine> {
  needPrograms([browser, driver, display], 'webkit2gtk-driver xvfb')
  const folder = await mkdtemp(join(tmpdir(), 'token-handler-webkit-'))
  const screen = spawn(display, ['-displayfd', '3', '-screen', '0', '1280x1024x24', '-nolisten', 'tcp'], {
    stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
  })
  const [number] = (await once(createInterface({ input: screen.stdio[3] as NodeJS.ReadableStream }), 'line')) as [
    string,
  ]
  const port = await freePort()
  const child = spawn(driver, [`--port=${port}`, '--host=127.0.0.1'], {
    stdio: 'ignore',
    env: {
      ...process.env,
      DISPLAY: `:${number}`,
      HOME: folder,
      XDG_RUNTIME_DIR: folder,
      // Its own sandbox needs rights that a container does not give; nothing but the example is opened here.
      WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: '1',
    },
  })
  const command = commander(`http://127.0.0.1:${port}`)
  const stop = async (): Promise<void> => {
    for (const each of [child, screen]) {
      const exit = once(each, 'exit')
      if (each.kill()) await exit
    }
    await rm(folder, { recursive: true, force: true })
  }
  try {
    await ready(command)
    const { sessionId } = (await command('POST', '/session', {
      capabilities: {
        alwaysMatch: {
          acceptInsecureCerts: true,
          'webkitgtk:browserOptions': { binary: browser, args: ['--automation'] },
        },
      },
    })) as { sessionId: string }
    return engineOf(`/session/${sessionId}`, command, stop)
  } catch (error) {
    await stop()
    throw error
  }
}

function commander(origin: string): Command {
  return async (method, path, body) => {
    const answer = await fetch(
      `${origin}${path}`,
      method === 'POST' ? { method, body: JSON.stringify(body ?? {}) } : { method },
    )
    const { value } = (await answer.json()) as { value: { message?: string } | null }
    if (!answer.ok) throw new Error(value?.message ?? `WebKitWebDriver answered ${answer.status}`)
    return value
  }
}

async function ready(command: Command): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await command('GET', '/status')
      return
    } catch (error) {
      if (attempt === 200) throw error
      await pause(50)
    }
  }
}

function engineOf(session: string, command: Command, stop: () => Promise<void>): Engine {
  // A session has one current window, so the commands of its tabs take turns.
  let turn: Promise<unknown> = Promise.resolve()
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const result = turn.then(work)
    turn = result.catch(() => undefined)
    return result
  }
  const tabOf = (handle: string): Tab => {
    const here = <T>(work: () => Promise<T>): Promise<T> =>
      inTurn(async () => {
        await command('POST', `${session}/window`, { handle })
        return work()
      })
    return {
      goto: (url) => here(async () => void (await command('POST', `${session}/url`, { url }))),
      read: (expression) =>
        here(async () => {
          const script = `const done = arguments[arguments.length - 1];
            Promise.resolve(${expression}).then((value) => done([value ?? null]), (error) => done({ failed: String(error) }))`
          const answer = await command('POST', `${session}/execute/async`, { script, args: [] })
          if (!Array.isArray(answer)) throw new Error(JSON.stringify(answer))
          return answer[0]
        }),
    }
  }
  let isFirst = true
  return {
    newTab: () =>
      inTurn(async () => {
        if (isFirst) {
          isFirst = false
          return tabOf(String(await command('GET', `${session}/window`)))
        }
        const { handle } = (await command('POST', `${session}/window/new`, { type: 'tab' })) as { handle: string }
        return tabOf(handle)
      }),
    async close() {
      await command('DELETE', session).catch(() => undefined)
      await stop()
    },
  }
}
