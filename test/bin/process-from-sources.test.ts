import { afterEach, beforeEach, expect, it } from 'vitest'
import { ask, childrenOf, type CommandWorld, createCommandWorld, patience } from '../support/command-world.ts'

const session = '/oauth-agent/session'

/** The sources, as `npm start` runs them; all else about processes is shown with the program of the image. */
let world: CommandWorld
beforeEach(() => {
  world = createCommandWorld()
})
afterEach(() => world.close())

it('a process serves, reloads on SIGHUP, keeps the old settings when the new are bad, and ends with 0', async () => {
  const { child, ended, lines, ports, events, errors } = await world.start(1, 'serve')
  const [port = 0] = ports()
  expect(await ask(port, session)).toContain('{"is_logged_in":false}')
  world.writeSettings('bad')
  child.kill('SIGHUP')
  await expect.poll(events, patience).toContain('config.rejected')
  await expect.poll(errors, patience).toContain('proxy.routes[0].path')
  world.writeSettings('/other/**')
  child.kill('SIGHUP')
  await expect.poll(events, patience).toContain('config.reloaded')
  expect(await ask(port, session)).toContain('{"is_logged_in":false}')
  child.kill('SIGTERM')
  expect(await ended).toBe(0)
  expect(lines().at(-1)).toMatchObject({ event: 'process.stopping', signal: 'SIGTERM' })
  expect(errors() + JSON.stringify(lines())).not.toContain('do-not-show-me')
}, 60_000)

it('workers share one port, one that dies is replaced, and all end together', async () => {
  const { child, ended, ports, events, errors } = await world.start(2, 'serve', '--workers', '2')
  const [port = 0] = ports()
  expect(await ask(port, session)).toContain('{"is_logged_in":false}')
  const [worker = 0] = childrenOf(child.pid)
  process.kill(worker, 'SIGKILL')
  await expect.poll(() => ports().length, patience).toBe(3)
  await expect.poll(errors, patience).toContain('With store.kind: memory each of the 2 workers')
  await expect.poll(errors, patience).toContain('A worker ended')
  expect(new Set(ports())).toEqual(new Set([port]))
  expect(await ask(port, session)).toContain('{"is_logged_in":false}')
  child.kill('SIGTERM')
  expect(await ended).toBe(0)
  expect(events().filter((event) => event === 'process.stopping')).toHaveLength(2)
}, 90_000)
