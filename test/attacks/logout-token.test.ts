import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { fromServer, logOutByToken, type Page } from '../support/page.ts'
import { createSigningKey, type ScriptedWorld, startScriptedWorld } from '../support/scripted-authorization-server.ts'

let world: ScriptedWorld
let page: Page
/** Each test has a session of its own at the server: what ends that of one must not end the next. */
let good: { readonly sub: string; readonly sid: string }
beforeAll(async () => {
  world = await startScriptedWorld({ settings: 'logout: { backchannel: true }' })
  world.server.script.token = (form) => world.server.tokens(form, {}, { sid: good.sid })
})
afterAll(() => world.close())
beforeEach(async () => {
  good = { sub: 'alice', sid: randomUUID() }
  page = world.browser()
  await world.signIn(page)
})

const post = async (form: Record<string, string> | URLSearchParams) =>
  (await logOutByToken(world.browser(), form)).status
const isSignedIn = async () => (await page.call('GET', '/oauth-agent/session')).json()['is_logged_in']

const event = 'http://schemas.openid.net/event/backchannel-logout'

describe('a defective logout token ends no session (D14)', () => {
  it('lacking any one claim that is demanded, or having one of another type', async () => {
    const wrong = fc.constantFrom<unknown>(undefined, null, '', 0, true, [], {}, ['x'], 'x', -1, 1e300)
    const claim = fc.constantFrom('iss', 'aud', 'iat', 'exp', 'jti', 'events')
    await fc.assert(
      fc.asyncProperty(claim, wrong, async (name, value) => {
        // A text is a good jti, a list or object never; a later expiry is good, too.
        fc.pre(!(name === 'jti' && value === 'x') && !(name === 'exp' && value === 1e300))
        expect(await post({ logout_token: await world.server.logoutToken({ ...good, [name]: value }) })).toBe(400)
      }),
      { numRuns: 60 },
    )
    expect(await isSignedIn()).toBe(true)
  })

  it('with an event that is none, or with a nonce of any value', async () => {
    const events = [null, 'x', 5, [], { [event]: null }, { [event]: 'x' }, { [event]: [] }, { [`${event}/`]: {} }]
    for (const each of events) {
      expect(await post({ logout_token: await world.server.logoutToken({ ...good, events: each }) })).toBe(400)
    }
    for (const nonce of [null, '', 0, 'n', {}]) {
      expect(await post({ logout_token: await world.server.logoutToken({ ...good, nonce }) })).toBe(400)
    }
    expect(await isSignedIn()).toBe(true)
  })

  it('signed by nobody, by a stranger, by an algorithm that is not accepted, or with our public key as a secret', async () => {
    const stranger = await createSigningKey('ES256', world.server.keys[0]?.kid)
    const [, payload = ''] = (await world.server.logoutToken(good)).split('.')
    const forged = [await world.server.logoutToken(good, { key: stranger })]
    for (const alg of ['none', 'NONE', 'nOnE', '', 'HS256', 'HS512', 'ES256K']) {
      const header = Buffer.from(JSON.stringify({ alg, typ: 'logout+jwt' })).toString('base64url')
      forged.push(`${header}.${payload}.`, `${header}.${payload}.AAAA`)
    }
    for (const token of forged) expect(await post({ logout_token: token })).toBe(400)
    expect(await isSignedIn()).toBe(true)
  })

  it('altered in any one character', async () => {
    const token = await world.server.logoutToken(good)
    await fc.assert(
      fc.asyncProperty(fc.nat(token.length - 2), fc.constantFrom(...'AZaz09-_.=+/ \n'), async (at, character) => {
        const changed = `${token.slice(0, at)}${character}${token.slice(at + 1)}`
        fc.pre(changed !== token)
        expect(await post({ logout_token: changed })).toBe(400)
      }),
      { numRuns: 60 },
    )
    expect(await isSignedIn()).toBe(true)
  })

  it('sent twice in one form, under another name, or in the query', async () => {
    const token = await world.server.logoutToken(good)
    const twice = new URLSearchParams([
      ['logout_token', token],
      ['logout_token', token],
    ])
    expect(await post(twice)).toBe(400)
    expect(await post({ Logout_Token: token })).toBe(400)
    const path = `/oauth-agent/backchannel-logout?logout_token=${token}`
    expect((await world.browser().call('POST', path, { form: {}, headers: fromServer })).status).toBe(400)
    expect(await isSignedIn()).toBe(true)
  })

  it('and the good one ends it, once', async () => {
    const token = await world.server.logoutToken(good)
    expect(await post({ logout_token: token })).toBe(200)
    expect(await isSignedIn()).toBe(false)
    expect(await post({ logout_token: token })).toBe(400)
  })
})
