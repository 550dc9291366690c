import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Page, PageAnswer } from '../support/page.ts'
import { type ScriptedWorld, startScriptedWorld } from '../support/scripted-authorization-server.ts'
import { answer, okBytes, startUpstream, type Upstream } from '../support/upstream.ts'

/** What a browser may hold under one name. */
const states = ['absent', 'valid', 'garbage', 'other sign-in'] as const
type State = (typeof states)[number]

const [at, rt, id] = ['__Host-Http-th-at', '__Host-Http-th-rt', '__Host-Http-th-id']
const combinations = states.flatMap((access) =>
  states.flatMap((refresh) => states.map((identity) => ({ access, refresh, identity }))),
)
type Combination = (typeof combinations)[number]

let world: ScriptedWorld
let api: Upstream
let jars: Record<'valid' | 'other sign-in', Page>
beforeAll(async () => {
  api = await startUpstream()
  api.behave(answer(okBytes('{}')))
  world = await startScriptedWorld({
    settings: `${generous}
login: { navigation: { enabled: true } }
proxy:
  routes:
    - { path: /api/mine, upstream: "${api.origin}" }
    - { path: /api/open, upstream: "${api.origin}", credential: { kind: none }, anonymous: none }`,
  })
  await fillJars()
})
afterAll(async () => {
  await world.close()
  await api.close()
})

async function fillJars(): Promise<void> {
  jars = { valid: world.browser(), 'other sign-in': world.browser() }
  await world.signIn(jars.valid)
  await world.signIn(jars['other sign-in'], {}, 'bob')
}

const generous =
  'agent: { rate_limits: { login: { requests: 9999 }, refresh: { requests: 9999 }, session: { requests: 9999 } } }'

/** What these cookies amount to, in words of the documentation. */
function meaning({ access, refresh, identity }: Combination): 'signed out' | 'left over' | 'signed in' {
  const all = [access, refresh, identity]
  if (all.every((state) => state === 'absent')) return 'signed out'
  const owners = new Set(all.filter((state) => state !== 'absent'))
  if (owners.size > 1 || owners.has('garbage')) return 'left over'
  // Claims alone are nobody's session.
  return access === 'absent' && refresh === 'absent' ? 'left over' : 'signed in'
}

function browserWith(combination: Combination): Page {
  const page = world.browser()
  const put = (name: string, state: State) => {
    if (state === 'absent') return
    page.jar.take('localhost', `${name}=QQ; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=600`)
    if (state !== 'garbage') page.jar.tamper('localhost', name, valueOf(jars[state], name))
  }
  put(at, combination.access)
  put(rt, combination.refresh)
  put(id, combination.identity)
  return page
}

function valueOf(page: Page, name: string): string {
  const pairs = (page.jar.header('localhost', '/', 'same-site') ?? '').split('; ')
  return pairs.find((pair) => pair.startsWith(`${name}=`))?.slice(name.length + 1) ?? ''
}

const outcomeOf = ({ status, headers }: PageAnswer) => [status, headers['token-handler-error']]
const sessionNames = (page: Page) => page.jar.names('localhost').filter((name) => [at, rt, id].includes(name))

describe.each(combinations)('C20, C21: access $access, refresh $refresh, identity $identity', (combination) => {
  const means = meaning(combination)

  it('GET /session never takes garbage for a session, and clears what is no session', async () => {
    const page = browserWith(combination)
    const answer = await page.call('GET', '/oauth-agent/session')
    expect(answer.status).toBe(200)
    expect(answer.json()['is_logged_in']).toBe(means === 'signed in')
    if (means === 'left over') expect(sessionNames(page)).toEqual([])
    else expect(answer.setCookies).toEqual([])
  })

  it('POST /refresh answers one of its documented codes', async () => {
    const page = browserWith(combination)
    const answer = await page.call('POST', '/oauth-agent/refresh')
    const code = answer.json()['error_code']
    if (means === 'signed out') expect([answer.status, code]).toEqual([401, 'session_missing'])
    else if (means === 'left over') expect([answer.status, code]).toEqual([401, 'session_invalid'])
    else if (combination.refresh === 'absent') expect([answer.status, code]).toEqual([401, 'no_refresh_token'])
    else expect(sessionNames(page).sort()).toEqual([at, id, rt])
    if (means === 'left over') expect(sessionNames(page)).toEqual([])
  })

  it('GET /userinfo answers one of its documented codes', async () => {
    const page = browserWith(combination)
    world.server.script.userinfo = () => ({ body: { sub: combination.access === 'valid' ? 'alice' : 'bob' } })
    const answer = await page.call('GET', '/oauth-agent/userinfo')
    const expected = {
      'signed out': [401, 'session_missing'],
      'left over': [401, 'session_invalid'],
      'signed in': combination.access === 'absent' ? [401, 'access_token_expired'] : [200, undefined],
    }[means]
    expect([answer.status, answer.json()['error_code']]).toEqual(expected)
    if (means === 'left over') expect(sessionNames(page)).toEqual([])
  })

  it('an API is called with a readable access cookie only, whatever the others are', async () => {
    const page = browserWith(combination)
    const { access } = combination
    const refused = access === 'garbage' ? [401, 'session_invalid'] : undefined
    const passed = [200, undefined]
    const visitor = access === 'absent' ? [401, 'session_missing'] : passed
    expect(outcomeOf(await page.call('GET', '/api/mine'))).toEqual(refused ?? visitor)
    expect(outcomeOf(await page.call('GET', '/api/open'))).toEqual(refused ?? passed)
  })

  it('a sign-in can be started, and a response that belongs to none says so', async () => {
    const page = browserWith(combination)
    const stray = { code: 'c', state: 's' }
    const met = means === 'signed in' ? [200, undefined] : [400, 'invalid_state']
    expect(outcomeOf(await page.call('POST', '/oauth-agent/login/end', { form: stray }))).toEqual(met)
    const callback = `/oauth-agent/callback?${new URLSearchParams(stray)}`
    expect(outcomeOf(await page.navigate('GET', callback))).toEqual(met)
    expect(outcomeOf(await page.call('POST', '/oauth-agent/login/start'))).toEqual([200, undefined])
    expect(outcomeOf(await page.navigate('GET', '/oauth-agent/login'))).toEqual([303, undefined])
    expect(outcomeOf(await page.navigate('GET', '/oauth-agent/logout'))).toEqual([200, undefined])
  })

  it('a sign-in works afterwards, and replaces everything', async () => {
    const page = browserWith(combination)
    const answer = await world.signIn(page, {}, 'carol')
    // Whose place she took is signed out, and so is every copy of those cookies.
    if (meaning(combination) === 'signed in') await fillJars()
    expect([answer.status, answer.json()['is_logged_in']]).toEqual([200, true])
    expect((await page.call('GET', '/oauth-agent/session')).json()).toMatchObject({ id_token_claims: { sub: 'carol' } })
  })
})

describe('signing out (D12)', () => {
  it.each(combinations.filter((each) => meaning(each) !== 'signed in'))(
    'works with access $access, refresh $refresh, identity $identity (D12)',
    async (combination) => {
      const page = browserWith(combination)
      const answer = await page.call('POST', '/oauth-agent/logout')
      expect([answer.status, sessionNames(page)]).toEqual([200, []])
      const byForm = browserWith(combination)
      const next = await byForm.navigate('POST', '/oauth-agent/logout/form', { form: {} })
      expect([next.status, sessionNames(byForm)]).toEqual([303, []])
    },
  )
})

describe('the login cookie', () => {
  it.each(['garbage', 'of another attempt'])('%s asks to start again, and is cleared', async (what) => {
    const page = world.browser()
    const query = await world.start(page)
    const name = page.jar.names('localhost')[0] ?? ''
    const other = world.browser()
    await world.start(other)
    const foreign = valueOf(other, other.jar.names('localhost')[0] ?? '')
    page.jar.tamper('localhost', name, what === 'garbage' ? 'QQ' : foreign)
    const answer = await page.call('POST', '/oauth-agent/login/end', { form: query })
    expect([answer.status, answer.json()['error_code']]).toEqual([409, 'login_restart_required'])
    expect(page.jar.names('localhost')).toEqual([])
  })
})
