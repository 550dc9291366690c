import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createCatalogue } from '../../shared/cookies/catalogue.ts'
import { bindingOf, createSealer } from '../../shared/crypto/seal.ts'
import { systemRandomBytes } from '../../shared/crypto/random.ts'
import type { Page, PageAnswer } from '../support/page.ts'
import { type ScriptedWorld, startScriptedWorld } from '../support/scripted-authorization-server.ts'

/** Attack: learn from an answer why a cookie could not be opened (A04, EN-10). */

/** Nothing listens there: a request without a session must not get so far. */
const route = `
proxy:
  routes:
    - path: /api/**
      upstream: http://127.0.0.1:9
`

let world: ScriptedWorld
let signedIn: Page
beforeAll(async () => {
  world = await startScriptedWorld({ settings: route })
  signedIn = world.browser()
  expect((await world.signIn(signedIn)).status).toBe(200)
})
afterAll(() => world.close())

const slots = ['access', 'refresh', 'identity'] as const
type Slot = (typeof slots)[number]

/** Values of the cookie of a slot, each failing at another step of opening. */
function failures(slot: Slot): Readonly<Record<string, string>> {
  const { config, keys } = world
  const catalogue = createCatalogue(config)
  const value = valueOf(catalogue[slot].name)
  const bytes = Buffer.from(value, 'base64url')
  const sealFor = createSealer({ keys, binding: bindingOf(config), random: systemRandomBytes })
  const other = slots.find((each) => each !== slot) ?? 'access'
  const changed = (at: number) => {
    const copy = Buffer.from(bytes)
    copy.writeUInt8(copy.readUInt8(at) ^ 1, at)
    return copy.toString('base64url')
  }
  return {
    empty: '',
    short: value.slice(0, 40),
    padded: `${value}=`,
    'not base64url': '"<script>"',
    'another version': changed(0),
    'an unknown key': changed(1),
    'another nonce': changed(10),
    'another ciphertext': changed(35),
    'another tag': changed(bytes.length - 1),
    'another cookie': valueOf(catalogue[other].name),
    'a record of another version': sealFor(catalogue[slot])(Buffer.from([9, 9, 9])),
    'a record cut short': sealFor(catalogue[slot])(Buffer.from([1, 0, 1, 2, 3])),
    'an empty record': sealFor(catalogue[slot])(Buffer.alloc(0)),
  }
}

function valueOf(name: string): string {
  const header = signedIn.jar.header('localhost', '/oauth-agent/session', 'same-site') ?? ''
  return (
    header
      .split('; ')
      .find((pair) => pair.startsWith(`${name}=`))
      ?.slice(name.length + 1) ?? ''
  )
}

/** Everything of an answer but what is new in each: the date, the request id and the state of a sign-out. */
function faceOf({ status, headers, setCookies, text }: PageAnswer): string {
  const { date: _date, 'x-request-id': _id, ...rest } = headers
  return JSON.stringify({ status, rest, setCookies, text: text.replace(/state=[\w-]{43}/, '') })
}

const endpoints = [
  ['GET', '/oauth-agent/session'],
  ['GET', '/oauth-agent/userinfo'],
  ['POST', '/oauth-agent/refresh'],
  ['POST', '/oauth-agent/logout'],
  ['GET', '/api/orders'],
] as const

const cases = slots.flatMap((slot) =>
  endpoints.flatMap(([method, path]) =>
    // APIs ask for no other cookie than the access cookie.
    slot === 'access' || path.startsWith('/oauth-agent/') ? [{ slot, method, path }] : [],
  ),
)

describe('a cookie that cannot be opened', () => {
  it.each(cases)(
    'gets one and the same answer as $slot from $method $path, whatever is wrong with it',
    async (given) => {
      const { slot, method, path } = given
      const before = world.told('cookie.unreadable').length
      const faces = new Map<string, string[]>()
      for (const [failure, value] of Object.entries(failures(slot))) {
        const page = world.tab({ ...signedIn, jar: signedIn.jar.copy() })
        page.jar.tamper('localhost', createCatalogue(world.config)[slot].name, value)
        const face = faceOf(await page.call(method, path))
        faces.set(face, [...(faces.get(face) ?? []), failure])
      }
      expect([...faces.values()]).toEqual([Object.keys(failures(slot))])
      expect([...faces.keys()][0]).not.toContain('"status":5')
      expect(world.told('cookie.unreadable').length - before).toBe(Object.keys(failures(slot)).length)
    },
  )
})
