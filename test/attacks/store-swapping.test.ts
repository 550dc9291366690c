import { afterEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../shared/clock.ts'
import { createMemoryStore } from '../../shared/store/memory.ts'
import { isSignedIn, refresh } from '../support/page.ts'
import { type ScriptedWorld, startScriptedWorld } from '../support/scripted-authorization-server.ts'

/** Attack: somebody who can write to the shared store puts what it keeps for one user where another's is looked for. */

let world: ScriptedWorld
afterEach(() => world.close())

/** A store that keeps every value, for the attacker to move. */
function openStore() {
  const values = new Map<string, string>()
  const store = {
    ...createMemoryStore({ clock: systemClock }),
    get: (key: string) => Promise.resolve(values.get(key)),
    put: (key: string, value: string) => Promise.resolve(void values.set(key, value)),
  }
  /** What was put under names that begin with `kind`, in order. */
  const names = (kind: string) => [...values.keys()].filter((name) => name.startsWith(`${kind}:`))
  return { store, values, names }
}

const subjectOf = async (page: Parameters<typeof refresh>[0]) =>
  (await page.call('GET', '/oauth-agent/session')).json()['id_token_claims']

describe('a value of the store in the place of another', () => {
  it('gives no user the refreshed session of another', async () => {
    const { store, values, names } = openStore()
    world = await startScriptedWorld({ store })
    const [mallory, alice] = [world.browser(), world.browser()]
    await world.signIn(mallory, {}, 'mallory')
    await world.signIn(alice, {}, 'alice')
    const late = world.tab({ ...alice, jar: alice.jar.copy() })
    await refresh(mallory)
    await refresh(alice)
    const [ofMallory = '', ofAlice = ''] = names('successor')
    values.set(ofAlice, values.get(ofMallory) ?? '')
    await refresh(late)
    expect(await subjectOf(late)).not.toMatchObject({ sub: 'mallory' })
  })

  it('gives nobody who brings a response the session of another sign-in', async () => {
    const { store, values, names } = openStore()
    world = await startScriptedWorld({ store })
    const [mallory, alice] = [world.browser(), world.browser()]
    await world.signIn(mallory, {}, 'mallory')
    const response = await world.start(alice)
    const again = world.tab({ ...alice, jar: alice.jar.copy() })
    await alice.call('POST', '/oauth-agent/login/end', { form: response })
    const [ofMallory = '', ofAlice = ''] = names('signed-in')
    values.set(ofAlice, values.get(ofMallory) ?? '')
    await again.call('POST', '/oauth-agent/login/end', { form: response })
    expect(await isSignedIn(again)).toBe(false)
  })
})
