import { afterEach, expect, it } from 'vitest'
import { clockCheck } from '../../bin/doctor/clock-check.ts'
import { type CheckedServer, startCheckedServer } from '../support/checked-server.ts'
import type { Reply } from '../support/scripted-authorization-server.ts'

let checked: CheckedServer
afterEach(() => checked.close())

async function find(skewSeconds: number, reply: Reply) {
  checked = await startCheckedServer()
  checked.scripted.script.jwks = () => reply
  return clockCheck(checked.config, checked.server, () => skewSeconds)
}

const answer = (date: string) => ({ headers: { date }, body: {} })

it.each<[string, number, Reply, string, string]>([
  ['tells the same time', 0, { body: {} }, 'ok', 'agree within 30 seconds'],
  ['is ahead', 40, { body: {} }, 'warning', '40 seconds ahead of ours'],
  ['is behind', -40, { body: {} }, 'warning', '40 seconds behind ours'],
  ['tells no time', 0, answer(''), 'skipped', 'no Date header'],
  ['tells something else', 0, answer('soon'), 'skipped', 'no Date header'],
  ['hangs up', 0, 'reset', 'skipped', 'not compared (connection_lost'],
])('a server that %s', async (_, skewSeconds, reply, level, words) => {
  expect(await find(skewSeconds, reply)).toMatchObject({
    level,
    check: 'provider.clock',
    found: expect.stringContaining(words) as string,
  })
})

it('a server whose first answer with a time differs', async () => {
  checked = await startCheckedServer()
  const { scripted, config, server } = checked
  let skew = 0
  scripted.script.jwks = () => {
    skew = 50
    return { body: {} }
  }
  expect(await clockCheck(config, server, () => skew)).toMatchObject({ level: 'warning' })
})
