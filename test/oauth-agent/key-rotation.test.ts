import { afterEach, describe, expect, it } from 'vitest'
import { promoteKey, removeKey, rotateKeyRing } from '../../shared/crypto/key-ring-edit.ts'
import type { KeyEntries } from '../../shared/crypto/key-ring-file.ts'
import { createKeyRing, type KeyRing } from '../../shared/crypto/key-ring.ts'
import { seededRandom, testKeys } from '../support/installation.ts'
import { createManualClock } from '../support/manual-clock.ts'
import { isSignedIn, refresh } from '../support/page.ts'
import { type ScriptedWorld, startScriptedWorld } from '../support/scripted-authorization-server.ts'

const oldKey = testKeys('rotation')
const staged = rotateKeyRing(oldKey, { random: seededRandom('new key'), clock: createManualClock() }, 'stage')
const [oldId, newId] = staged.map(({ id }) => id)
const promoted = promoteKey(staged, newId ?? '')
const newKey = removeKey(promoted, oldId ?? '')

let world: ScriptedWorld
/** The file that each replica has read. */
let rings: KeyRing[]
afterEach(() => world.close())

async function startReplicas(count: number): Promise<void> {
  rings = Array.from({ length: count }, () => createKeyRing(oldKey))
  world = await startScriptedWorld({
    replicas: count,
    keysOf: (replica) => ({ current: () => rings[replica] ?? createKeyRing(oldKey) }),
  })
}

const readFile = (replica: number, file: KeyEntries) => {
  rings[replica] = createKeyRing(file)
}

describe('rotating keys while users are signed in (FI-08)', () => {
  it('signs nobody out when the key is staged, promoted, and the old one removed after all cookies are new', async () => {
    await startReplicas(3)
    const browsers = Array.from({ length: 4 }, () => world.browser())
    for (const browser of browsers) expect((await world.signIn(browser)).status).toBe(200)

    for (const file of [staged, promoted, newKey]) {
      for (const replica of [0, 1, 2]) {
        readFile(replica, file)
        // Each browser meets every replica, whatever it has read.
        for (const browser of browsers) {
          for (let turn = 0; turn < 3; turn++) expect(await isSignedIn(browser)).toBe(true)
          expect((await refresh(browser)).status).toBe(200)
        }
      }
    }
    expect(world.told('cookie.unreadable')).toEqual([])
    expect(world.told('cookie.opened').at(-1)?.fields['key_id']).toBe(newId)
  })

  it('a login that is under way survives it (A16)', async () => {
    await startReplicas(1)
    const browser = world.browser()
    const query = await world.start(browser)
    readFile(0, promoted)
    expect((await browser.call('POST', '/oauth-agent/login/end', { form: query })).status).toBe(200)
  })
})

describe('taking a key away too early (EN-7, FI-08)', () => {
  it('ends each session once, and the next sign-in works without clearing anything by hand', async () => {
    await startReplicas(1)
    const browser = world.browser()
    await world.signIn(browser)
    await world.start(browser)
    readFile(0, promoted)
    readFile(0, newKey)
    const answer = await refresh(browser)
    expect([answer.status, answer.json()['error_code']]).toEqual([401, 'session_invalid'])
    expect(await isSignedIn(browser)).toBe(false)
    expect((await world.signIn(browser)).status).toBe(200)
    expect(await isSignedIn(browser)).toBe(true)
    expect(world.told('cookie.unreadable').map(({ fields }) => fields['reason'])).toContain('unknown_key')
    expect(world.told('cookie.unreadable').map(({ fields }) => fields['reason'])).not.toContain('tampered')
  })
})

describe('replicas that were given different keys (A17)', () => {
  it('refuse each other alike, without a loop, and the log names the foreign key', async () => {
    await startReplicas(2)
    readFile(1, newKey)
    const browser = world.browser()
    world.balance = () => 0
    await world.signIn(browser)
    world.balance = () => 1
    for (const path of ['/oauth-agent/userinfo', '/oauth-agent/userinfo']) {
      const answer = await browser.call('GET', path)
      expect(answer.status).toBe(401)
    }
    expect(world.told('cookie.unreadable')[0]?.fields).toMatchObject({ reason: 'unknown_key', key_id: oldId })
  })
})
