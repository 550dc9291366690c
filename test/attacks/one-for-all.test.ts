import { afterEach, describe, expect, it } from 'vitest'
import { type ScriptedWorld, startScriptedWorld } from '../support/scripted-authorization-server.ts'

let world: ScriptedWorld
afterEach(() => world.close())

/** A visitor who has begun to sign in, and sends codes of his own. */
async function startVisitor() {
  const visitor = world.browser()
  const response = await world.start(visitor)
  return (code: string) => {
    const form = new URLSearchParams(response)
    form.set('code', code)
    return visitor.call('POST', '/oauth-agent/login/end', { form })
  }
}

describe('what one visitor sends to the authorization server costs nobody else', () => {
  it.each([500, 503, 429])('codes that it answers with %i keep no user from refreshing', async (status) => {
    world = await startScriptedWorld({})
    const good = world.server.script.token
    const alice = world.browser()
    await world.signIn(alice)
    const send = await startVisitor()
    world.server.script.token = (form, request) =>
      form.get('code')?.startsWith('odd') === true ? { status, body: '' } : good(form, request)
    for (let i = 0; i < 8; i++) expect((await send(`odd${i}`)).status).toBe(503)
    expect((await alice.call('POST', '/oauth-agent/refresh')).status).toBe(200)
  })

  it.each([500, 429])('codes that it answers with %i keep nobody from signing in', async (status) => {
    world = await startScriptedWorld({})
    const good = world.server.script.token
    const send = await startVisitor()
    world.server.script.token = (form, request) =>
      form.get('code')?.startsWith('odd') === true ? { status, body: '' } : good(form, request)
    for (let i = 0; i < 8; i++) expect((await send(`odd${i}`)).status).toBe(503)
    expect((await world.signIn(world.browser())).status).toBe(200)
  })

  it.each([
    ['a NUL', 'a\0b'],
    ['a line break', 'a\r\nb'],
    ['letters beyond ASCII', 'ä'],
    ['more than any code holds', 'a'.repeat(4097)],
  ])('a code with %s never gets there', async (_what, code) => {
    world = await startScriptedWorld({})
    const send = await startVisitor()
    const answer = await send(code)
    expect([answer.status, answer.json()['error_code']]).toEqual([400, 'authorization_response_invalid'])
    expect(world.server.count('token')).toBe(0)
  })

  it('one user whose refreshes fail keeps no other from refreshing', async () => {
    world = await startScriptedWorld({})
    const good = world.server.script.token
    const [alice, bob] = [world.browser(), world.browser()]
    await world.signIn(alice, {}, 'alice')
    await world.signIn(bob, {}, 'bob')
    let failing = true
    world.server.script.token = (form, request) => (failing ? { status: 500, body: '' } : good(form, request))
    for (let i = 0; i < 8; i++) expect((await bob.call('POST', '/oauth-agent/refresh')).status).toBe(503)
    failing = false
    expect((await alice.call('POST', '/oauth-agent/refresh')).status).toBe(200)
  })
})
