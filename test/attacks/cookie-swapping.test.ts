import { afterEach, describe, expect, it } from 'vitest'
import type { RequestCookies } from '../../shared/cookies/header.ts'
import {
  browserAfter,
  cookieSettings,
  createInstallation,
  loginContent,
  noCookies,
  sessionCookies,
} from '../support/installation.ts'
import { type ScriptedWorld, startScriptedWorld } from '../support/scripted-authorization-server.ts'

/** Attack: present a cookie in a place for which it was not made. */

const loginId = 'EBESExQVFhcYGRobHB0eHw'
const otherId = 'ICEiIyQlJicoKSorLC0uLw'

const { reader, writer, catalogue } = createInstallation()
const values = new Map([
  ...browserAfter(writer.setSession(sessionCookies(), noCookies)).ours,
  ...browserAfter(writer.setLogin(loginId, loginContent(), noCookies)).ours,
  ...browserAfter(writer.setLogin(otherId, loginContent(), noCookies)).ours,
])
const open: Readonly<Record<string, (cookies: RequestCookies) => { readonly kind: string }>> = {
  [catalogue.access.name]: (cookies) => reader.access(cookies),
  [catalogue.refresh.name]: (cookies) => reader.refresh(cookies),
  [catalogue.identity.name]: (cookies) => reader.identity(cookies),
  [catalogue.login(loginId).name]: (cookies) => reader.login(cookies, loginId),
  [catalogue.login(otherId).name]: (cookies) => reader.login(cookies, otherId),
}
const names = Object.keys(open)
const pairs = names.flatMap((from) => names.map((to) => ({ from, to })))

describe('A01, A02: a cookie opens in its own place only', () => {
  it('tries every ordered pair', () => {
    expect(pairs).toHaveLength(25)
    expect([...values.keys()].toSorted()).toEqual(names.toSorted())
  })

  it.each(pairs)('$from as $to', ({ from, to }) => {
    const opened = open[to]?.({ ours: new Map([[to, values.get(from) ?? '']]), others: undefined })
    expect(opened?.kind).toBe(from === to ? 'opened' : 'unreadable')
  })
})

describe('A10: a cookie opens in its own installation only', () => {
  it.each([
    ['client', createInstallation({ binding: { clientId: 'other' } })],
    ['issuer', createInstallation({ binding: { issuer: 'https://login.example.com/' } })],
    ['origin', createInstallation({ binding: { publicOrigin: 'https://www2.example.com' } })],
  ])('not in one of another %s', (_, other) => {
    for (const name of names.slice(0, 3)) {
      const cookies = { ours: values, others: undefined }
      expect(open[name]?.(cookies).kind).toBe('opened')
    }
    expect(other.reader.access({ ours: values, others: undefined }).kind).toBe('unreadable')
    expect(other.reader.refresh({ ours: values, others: undefined }).kind).toBe('unreadable')
    expect(other.reader.login({ ours: values, others: undefined }, loginId).kind).toBe('unreadable')
  })

  it('not under the name that another path would give it', () => {
    const scoped = createInstallation({ settings: cookieSettings({ refreshPath: 'agent' }) })
    const value = values.get(catalogue.refresh.name) ?? ''
    const cookies = { ours: new Map([[scoped.catalogue.refresh.name, value]]), others: undefined }
    expect(scoped.reader.refresh(cookies).kind).toBe('unreadable')
  })

  it('not under another prefix', () => {
    const app = createInstallation({ settings: cookieSettings({ prefix: 'app' }) })
    const cookies = {
      ours: new Map([['__Host-Http-app-at', values.get(catalogue.access.name) ?? '']]),
      others: undefined,
    }
    expect(app.reader.access(cookies).kind).toBe('unreadable')
  })
})

describe('a session that a sibling host plants, with refresh_path: agent', () => {
  let world: ScriptedWorld | undefined
  afterEach(() => world?.close())

  it('is nobody, however well its cookies are sealed (CK-16)', async () => {
    world = await startScriptedWorld({ settings: 'cookies: { refresh_path: agent }' })
    const [mallory, victim] = [world.browser(), world.browser()]
    await world.signIn(mallory, {}, 'mallory')
    const own = mallory.jar.header('localhost', '/oauth-agent/session', 'same-site') ?? ''
    // What a sibling can write: cookies with a Domain, which no browser takes under a name that begins with __Host-.
    const writable = own.split('; ').filter((pair) => pair.startsWith('__Http-'))
    expect(writable).toHaveLength(2)
    for (const pair of writable) {
      victim.jar.take('localhost', `${pair}; Path=/oauth-agent; Secure; HttpOnly; SameSite=Strict`)
    }
    const refreshed = await victim.call('POST', '/oauth-agent/refresh')
    expect([refreshed.status, refreshed.json()['error_code']]).toEqual([401, 'session_invalid'])
    expect(world.server.requests.filter(({ form }) => form.get('grant_type') === 'refresh_token')).toEqual([])
    expect((await victim.call('GET', '/oauth-agent/session')).json()).not.toMatchObject({ is_logged_in: true })
  })
})
