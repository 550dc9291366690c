import { expect, it } from 'vitest'
import { type DpopApi, freshNonce } from '../support/dpop-api.ts'
import { type InteropWorld, json, refresh, refreshInTwentyTabs, twentyTimesOk } from '../support/interop.ts'
import type { Person } from '../support/topology/browser.ts'

/** An authorization server that binds tokens to a key, and the program before it. */
export interface BoundTokens {
  /** Its routes: `/api/mine` to the API, `/api/userinfo` to the userinfo endpoint. */
  readonly world: InteropWorld
  /** Takes no other tokens. */
  readonly api: DpopApi
  readonly person: Person
  /** Address of the userinfo endpoint, a resource server that checks proofs and is not ours. */
  readonly userinfoEndpoint: string
  /** What it says of this person. */
  readonly claims: unknown
}

/** The tests of bound tokens that are the same at every authorization server; `start` is asked in each of them. */
export function testBoundTokens(start: () => BoundTokens): void {
  it('signs in, and each API accepts the proofs, that of the server itself as well', async () => {
    const { world, person, claims } = start()
    const browser = await world.signedIn(person)
    expect((await browser.fetch('GET', '/api/mine?page=1')).status).toBe(200)
    expect(json(await browser.fetch('GET', '/api/userinfo?page=1'))).toEqual(claims)
    expect(json(await browser.fetch('GET', '/oauth-agent/userinfo'))).toEqual(claims)
  })

  it('refuses the token without a proof of it', async () => {
    const { world, api, person, userinfoEndpoint } = start()
    const browser = await world.signedIn(person)
    await browser.fetch('GET', '/api/mine')
    const { authorization = '', dpop = '' } = api.calls.at(-1)?.headers ?? {}
    for (const headers of [
      { authorization: authorization.replace('DPoP', 'Bearer') },
      { authorization },
      { authorization, dpop: String(dpop) },
    ])
      expect((await fetch(userinfoEndpoint, { headers })).status).toBe(401)
  })

  it('repeats a call for the nonce of an API', async () => {
    const { world, api, person } = start()
    const browser = await world.signedIn(person)
    api.nonce = freshNonce()
    expect(json(await browser.fetch('POST', '/api/mine', 'an order'))).toEqual({ verdict: 'ok', body: 'an order' })
    api.nonce = undefined
  })

  it('refreshes, twenty tabs at once and again', async () => {
    const { world, person } = start()
    const browser = await world.signedIn(person)
    for (const generation of [2, 3]) {
      expect(await refreshInTwentyTabs(browser)).toEqual(twentyTimesOk)
      expect((await world.session(browser)).session.generation).toBe(generation)
    }
    expect((await browser.fetch('GET', '/api/mine')).status).toBe(200)
  })

  it('goes on with another key when that of the session is taken away', async () => {
    const { world, api, person } = start()
    const browser = await world.signedIn(person)
    const keys = new Set<string>()
    const call = async () => {
      expect((await browser.fetch('GET', '/api/mine')).status).toBe(200)
      keys.add(JSON.stringify(api.calls.at(-1)?.header['jwk']))
    }
    await call()
    await world.replaceKey(async () => {
      expect((await refresh(browser)).status).toBe(200)
      await call()
      expect(keys.size).toBe(1)
    })
    expect(json(await browser.fetch('GET', '/api/mine'))).toMatchObject({ error_code: 'access_token_expired' })
    expect((await refresh(browser)).status).toBe(200)
    await call()
    expect(keys.size).toBe(2)
  })

  it('revokes the tokens when the user signs out', async () => {
    const { world, person } = start()
    const browser = await world.signedIn(person)
    const before = browser.copy()
    await browser.signOut()
    await world.tokenHandler.restart()
    expect(json(await refresh(before))).toMatchObject({ error_code: 'session_expired' })
  })
}
