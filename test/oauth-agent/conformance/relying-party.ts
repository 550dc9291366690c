import { expect } from 'vitest'
import type { Page, PageAnswer } from '../../support/page.ts'
import { type ScriptedWorld, type SigningKey, startScriptedWorld } from '../../support/scripted-authorization-server.ts'

/** The agent as a relying party under test. */
export interface RelyingParty {
  readonly world: ScriptedWorld
  readonly page: Page
  /** A sign-in whose ID token has these claims; a claim of `undefined` is left out. */
  signInWith(
    claims: Record<string, unknown>,
    change?: { key?: SigningKey; header?: Record<string, unknown> },
  ): Promise<PageAnswer>
  /** A sign-in in which the browser comes back with a changed query. */
  comeBackWith(change: (query: URLSearchParams) => void): Promise<PageAnswer>
}

/** Runs one module in a world of its own. */
export async function withRelyingParty(run: (party: RelyingParty) => Promise<void>, settings = ''): Promise<void> {
  const world = await startScriptedWorld({ settings })
  const page = world.browser()
  const party: RelyingParty = {
    world,
    page,
    async signInWith(claims, change = {}) {
      const query = await world.start(page)
      const nonce = world.server.lastNonce()
      const idToken = await world.server.idToken({ nonce, ...claims }, change)
      world.server.script.token = (form) => world.server.tokens(form, { id_token: idToken })
      return page.call('POST', '/oauth-agent/login/end', { form: query })
    },
    async comeBackWith(change) {
      const query = await world.start(page)
      change(query)
      return page.call('POST', '/oauth-agent/login/end', { form: query })
    },
  }
  try {
    await run(party)
  } finally {
    await world.close()
  }
}

export function expectSignedIn(answer: PageAnswer): void {
  expect([answer.status, answer.json()['is_logged_in']]).toEqual([200, true])
}

/** The ID token was refused for this check, no session came of it, and userinfo was not asked (BCP-6). */
export async function expectIdTokenRefused(party: RelyingParty, answer: PageAnswer, check: string): Promise<void> {
  expect([answer.status, answer.json()['error_code']]).toEqual([502, 'id_token_invalid'])
  expect(party.world.told('login.failed').at(-1)?.fields['check']).toBe(check)
  expect(party.page.jar.names('localhost')).toEqual([])
  expect(party.world.server.count('userinfo')).toBe(0)
}

/** The authorization response was refused, and no token endpoint heard of it. */
export function expectResponseRefused({ world }: RelyingParty, answer: PageAnswer, code: string): void {
  expect([answer.status, answer.json()['error_code']]).toEqual([400, code])
  expect(world.server.count('token')).toBe(0)
}
