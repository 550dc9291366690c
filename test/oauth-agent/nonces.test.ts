import type { IncomingMessage } from 'node:http'
import { decodeJwt } from 'jose'
import { afterEach, describe, expect, it } from 'vitest'
import { freshNonce } from '../support/dpop-api.ts'
import { refresh, statusAndCode } from '../support/page.ts'
import {
  type Act,
  type Reply,
  type ScriptedWorld,
  startScriptedWorld,
} from '../support/scripted-authorization-server.ts'

const client =
  '  authentication: client_secret_basic\n  secret: correct-horse-battery-staple\n  dpop_bound_access_tokens: true'

let world: ScriptedWorld
afterEach(() => world.close())

const bound: Act = (form) => world.server.tokens(form, { token_type: 'DPoP' })

async function start(): Promise<void> {
  world = await startScriptedWorld({ client })
  world.server.script.token = bound
}

const nonceOf = ({ headers }: Pick<IncomingMessage, 'headers'>) => decodeJwt(String(headers['dpop']))['nonce']
const shown = (endpoint: 'token' | 'userinfo') =>
  world.server.requests.filter((each) => each.endpoint === endpoint).map(nonceOf)

const refused = (nonce?: string): Reply => ({
  status: 400,
  headers: nonce === undefined ? {} : { 'dpop-nonce': nonce },
  body: { error: 'use_dpop_nonce' },
})

function resolvable(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = (): void => {}
  const promise = new Promise<void>((done) => void (resolve = done))
  return { promise, resolve }
}

/** The answer with a nonce for the next call. */
async function withNonce(act: Act, nonce: string, ...call: Parameters<Act>): Promise<Reply> {
  const reply = await act(...call)
  return typeof reply === 'string' ? reply : { ...reply, headers: { 'dpop-nonce': nonce } }
}

describe('a server that gives a nonce with every answer and takes each once', () => {
  const taking = new Set<unknown>()
  const issue = () => {
    const nonce = freshNonce()
    taking.add(nonce)
    return nonce
  }
  /** Judges the second try of the first call only when the first try of the second call has been judged. */
  function overtaken(accept: Act, refuse: (nonce: string) => Reply): { act: Act; isRepeated: Promise<void> } {
    const repeated = resolvable()
    const judged = resolvable()
    let calls = 0
    const act: Act = async (form, request) => {
      calls += 1
      const call = calls
      if (call === 2) {
        repeated.resolve()
        await judged.promise
      }
      const isGood = taking.delete(nonceOf(request))
      if (call === 3) judged.resolve()
      return isGood ? withNonce(accept, issue(), form, request) : refuse(issue())
    }
    return { act, isRepeated: repeated.promise }
  }

  it('takes two refreshes, though the second overtakes the first', async () => {
    await start()
    const [first, second] = [world.browser(), world.browser()]
    for (const page of [first, second]) await world.signIn(page)
    const { act, isRepeated } = overtaken(bound, refused)
    world.server.script.token = act
    const answer = refresh(first)
    await isRepeated
    expect(statusAndCode(await refresh(second))).toEqual([200, undefined])
    expect(statusAndCode(await answer)).toEqual([200, undefined])
    expect(shown('token')).toHaveLength(6)
  })

  it('tells of two users, though the question for the second overtakes that for the first', async () => {
    await start()
    const [first, second] = [world.browser(), world.browser()]
    for (const page of [first, second]) await world.signIn(page)
    const { act, isRepeated } = overtaken(
      () => ({ body: { sub: 'alice' } }),
      (nonce) => ({
        status: 401,
        headers: { 'www-authenticate': 'DPoP error="use_dpop_nonce"', 'dpop-nonce': nonce },
        body: '',
      }),
    )
    world.server.script.userinfo = act
    const answer = first.call('GET', '/oauth-agent/userinfo')
    await isRepeated
    expect((await second.call('GET', '/oauth-agent/userinfo')).status).toBe(200)
    expect((await answer).status).toBe(200)
    expect(shown('userinfo')).toHaveLength(4)
  })
})

describe('an authorization server that gives its nonce with refusals only', () => {
  it('is shown it by the calls that follow the one that was refused', async () => {
    await start()
    const page = world.browser()
    await world.signIn(page)
    world.server.script.token = (form, request) => (nonceOf(request) === 'n1' ? bound(form, request) : refused('n1'))
    for (const _ of [1, 2]) expect((await refresh(page)).status).toBe(200)
    expect(shown('token')).toEqual([undefined, undefined, 'n1', 'n1'])
  })

  it('is not asked again where it gives none', async () => {
    await start()
    const page = world.browser()
    await world.signIn(page)
    world.server.script.token = () => refused()
    expect(statusAndCode(await refresh(page))).toEqual([502, 'authorization_server_error'])
    expect(shown('token')).toEqual([undefined, undefined])
  })
})

describe('a nonce that no server gives', () => {
  it.each<[string, string | string[]]>([
    ['because it is longer than the header of a request can be', 'n'.repeat(20_000)],
    ['because it is too long', 'n'.repeat(513)],
    ['because it has an octet that no nonce has', 'a b'],
    ['because there are two', ['one', 'two']],
    ['because it is empty', ''],
  ])('is not shown to it %s, and costs no session', async (_what, nonce) => {
    await start()
    const page = world.browser()
    world.server.script.token = (form, request) => withNonce(bound, nonce as string, form, request)
    await world.signIn(page)
    expect(statusAndCode(await refresh(page))).toEqual([200, undefined])
    expect(shown('token')).toEqual([undefined, undefined])
  })
})

describe('what is logged, and answered to the page', () => {
  it('is nothing of a proof or a nonce, whatever comes of it', async () => {
    await start()
    const page = world.browser()
    const answers = [await world.signIn(page)]
    const acts: Act[] = [
      () => refused('of-the-server-1'),
      (form, request) => withNonce(bound, 'of-the-server-2', form, request),
      () => refused('of-the-server-3'),
      () => refused('of-the-server-4'),
      () => ({ status: 400, headers: { 'dpop-nonce': 'of-the-server-5' }, body: { error: 'invalid_dpop_proof' } }),
    ]
    world.server.script.token = (form, request) => acts.shift()?.(form, request) ?? bound(form, request)
    for (const _ of [1, 2, 3]) answers.push(await refresh(page))
    answers.push(await page.call('GET', '/oauth-agent/userinfo'))
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 502, 502, 200])
    const seen = JSON.stringify([world.events, answers.map(({ headers, text }) => [headers, text])])
    expect(seen).toContain('invalid_dpop_proof')
    expect(seen).not.toContain('of-the-server')
    const proofs = world.server.requests.flatMap(({ headers: { dpop } }) => (dpop === undefined ? [] : [String(dpop)]))
    expect(proofs).toHaveLength(7)
    for (const part of proofs.flatMap((proof) => proof.split('.'))) expect(seen).not.toContain(part)
  })
})
