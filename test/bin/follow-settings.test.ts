import { beforeEach, describe, expect, it } from 'vitest'
import {
  afterApplied,
  asStarted,
  followSettings,
  type SettingsFollower,
  type SettingsInForce,
  settingsInForce,
} from '../../bin/follow-settings.ts'
import { checkTogether } from '../../shared/config/load.ts'
import type { Config } from '../../shared/config/schema.ts'
import { createManualClock, type ManualClock } from '../support/manual-clock.ts'
import { parse, settingsFile } from '../shared/config/settings.ts'

const withRoute = (path: string, change: object = {}) =>
  settingsFile({ ...change, proxy: { routes: [{ path, upstream: 'https://api.example.com' }] } })

let text: string | undefined
let clock: ManualClock
let events: { name: string; fields: object }[]
let applied: string[]
/** Client secrets in force. */
let secrets: string[]
/** Texts whose routes are in force. */
let told: string[]
let said: string[]
/** What another process would be told to begin with. */
let inForce: SettingsInForce
let follower: SettingsFollower
/** What `apply` waits for. */
let applying: (paths: string[]) => Promise<void>

/** Lets time pass, and what it started come to its end. */
async function pass(seconds: number): Promise<void> {
  clock.pass(seconds)
  await new Promise(setImmediate)
}

beforeEach(() => {
  text = withRoute('/one')
  clock = createManualClock()
  events = []
  applied = []
  secrets = []
  told = []
  said = []
  inForce = asStarted(text)
  applying = () => Promise.resolve()
  follower = followSettings({
    source: {
      readText() {
        if (text === undefined) throw new Error('gone')
        return text
      },
      parse,
      check: (config) => checkTogether(config, []),
    },
    text,
    config: parse(text),
    async apply(config: Config) {
      const paths = config.proxy.routes.map(({ path }) => path)
      await applying(paths)
      applied.push(...paths)
      if ('secret' in config.client) secrets.push(config.client.secret.reveal())
    },
    onApplied: (applied) => void (told.push(applied.text), (inForce = afterApplied(inForce, applied))),
    clock,
    observe: { emit: (name, fields) => void events.push({ name, fields }) },
    say: (words) => void said.push(words),
  })
})

describe('the settings file', () => {
  it('is left alone while it stays the same', async () => {
    await pass(60)
    expect([applied, events]).toEqual([[], []])
  })
  it('gives its routes when it changes', async () => {
    text = withRoute('/two')
    await pass(60)
    expect(applied).toEqual(['/two'])
    expect(events).toEqual([{ name: 'config.reloaded', fields: { part: 'routes' } }])
  })
  it('is not used while it is still being written: half of it may be good, and require less', async () => {
    const route = { path: '/two', upstream: 'https://api.example.com', require: { scope: ['orders'] } }
    const whole = settingsFile({ proxy: { routes: [route] } })
    const half = whole.slice(0, whole.indexOf('require:')).trimEnd()
    expect(parse(half).proxy.routes[0]).toMatchObject({ path: '/two', require: { scope: [] } })
    text = half
    await pass(5)
    text = whole
    await pass(1)
    expect(applied).toEqual([])
    await pass(1)
    expect(told).toEqual([whole])
  })
  it('that cannot be read for a moment is no change', async () => {
    text = undefined
    await pass(5)
    text = withRoute('/one')
    await pass(60)
    expect([applied, events]).toEqual([[], []])
  })
  it('that is bad changes nothing, is reported once, and says what is wrong (FI-26)', async () => {
    text = withRoute('no-slash')
    await pass(60)
    expect(applied).toEqual([])
    expect(events).toEqual([{ name: 'config.rejected', fields: { part: 'settings', problems: 1 } }])
    expect(said.join()).toContain('proxy.routes[0].path')
    text = withRoute('/three')
    await pass(60)
    expect(applied).toEqual(['/three'])
  })
  it('that contains itself by an alias changes nothing, and the line is named', async () => {
    text = `${withRoute('/two')}login:\n  extra_parameters: &endless { a: *endless }\n`
    await pass(60)
    expect([applied, events]).toEqual([[], [{ name: 'config.rejected', fields: { part: 'settings', problems: 1 } }]])
    const line = text.split('\n').length - 1
    expect(said).toEqual([
      expect.stringContaining(`\n  (line ${line}): has an alias (*) of what it is itself a part of`),
    ])
  })
  it('is told once its routes are in force, and only then', async () => {
    applying = ([path]) => (path === '/two' ? Promise.reject(new Error('no certificate')) : Promise.resolve())
    for (const path of ['no-slash', '/two', '/three']) {
      text = withRoute(path)
      await pass(6)
    }
    expect(told).toEqual([withRoute('/three')])
  })
  it('that is gone changes nothing and is reported once', async () => {
    text = undefined
    await pass(60)
    expect([applied, events.length]).toEqual([[], 1])
  })
  it.each([
    ['could not be read', undefined],
    ['was bad', withRoute('no-slash')],
  ])('that %s and is as before ends no stream: its routes are not replaced', async (_, between) => {
    text = between
    await pass(60)
    text = withRoute('/one')
    await pass(60)
    expect(applied).toEqual([])
    expect(events).toEqual([
      { name: 'config.rejected', fields: { part: 'settings', problems: 1 } },
      { name: 'config.reloaded', fields: { part: 'routes' } },
    ])
    text = withRoute('/two')
    await pass(60)
    text = withRoute('/one')
    await pass(60)
    expect(applied).toEqual(['/two', '/one'])
  })
  it('keeps what is read at start, and reports for all of it that a restart is needed', async () => {
    text = withRoute('/two', {
      session: { idle_seconds: 60 },
      client: { id: 'other-app', secret: 'another' },
      login: { extra_parameters: { claims: '{}' }, max_attempts: 3 },
    })
    await pass(60)
    expect(applied).toEqual(['/two'])
    expect(events.filter(({ name }) => name === 'config.restart_needed').map(({ fields }) => fields)).toEqual(
      ['client', 'login', 'session'].map((part) => ({ part })),
    )
    expect(said.join()).toContain(
      'client.id, client.secret, login.extra_parameters.claims, login.max_attempts, session.idle_seconds.',
    )
    expect(said.join()).not.toContain('another')
  })
  it('gives a new client secret as well, which its file may hold: asked for, and told by its name', async () => {
    text = withRoute('/one', { client: { secret: 'another' }, session: { idle_seconds: 60 } })
    follower.reload()
    await pass(0)
    expect(secrets).toEqual(['another'])
    expect(events).toEqual([
      { name: 'config.restart_needed', fields: { part: 'session' } },
      { name: 'config.reloaded', fields: { part: 'routes' } },
      { name: 'config.reloaded', fields: { part: 'client_secret' } },
    ])
    expect(said.join()).not.toContain('another')
    events = []
    follower.reload()
    await pass(0)
    expect(events.map(({ fields }) => fields)).not.toContainEqual({ part: 'client_secret' })
  })
  it.each<[string, Record<string, unknown>]>([
    ['client', { client: { id: 'other-app', secret: 'another' } }],
    ['way to authenticate', { client: { authentication: 'client_secret_post', secret: 'another' } }],
    ['server', { client: { secret: 'another' }, authorization_server: { issuer: 'https://other.example.com' } }],
    [
      'way there',
      { client: { secret: 'another' }, authorization_server: { http_proxy: 'http://proxy.example.com:3128' } },
    ],
  ])('keeps the secret of another %s until the restart', async (_what, change) => {
    text = withRoute('/one', change)
    follower.reload()
    await pass(0)
    expect(secrets).toEqual(['not-a-real-secret'])
    expect(said.join()).toContain('client.secret')
  })
  it.each<[string, object, string]>([
    ['a cookie that is ours until the restart', { cookies: { prefix: 'new' } }, 'proxy.routes[0].forward_cookies[0]'],
    ['a path below that of the agent until the restart', { agent: { path: '/new' } }, 'proxy.routes[0].path'],
  ])('does not open %s', async (_what, change, path) => {
    const route = { path: '/oauth-agent/two', upstream: 'https://api.example.com' }
    const [section = ''] = Object.keys(change)
    const routes = section === 'agent' ? [route] : [{ ...route, path: '/two', forward_cookies: ['__Host-th-access'] }]
    text = settingsFile({ ...change, proxy: { routes } })
    await pass(60)
    expect(applied).toEqual([])
    expect(events.map(({ name, fields }) => [name, fields])).toEqual([
      ['config.restart_needed', { part: section }],
      ['config.rejected', { part: 'settings', problems: 1 }],
    ])
    expect(said.join()).toContain(path)
  })
  it('is applied at once and in any case when asked', async () => {
    follower.reload()
    await pass(0)
    expect(applied).toEqual(['/one'])
  })
  it('is not followed after the end', async () => {
    follower.close()
    text = withRoute('/two')
    await pass(60)
    expect(applied).toEqual([])
  })
  it('is applied after the one that is still being applied, as it was when it had settled', async () => {
    let go: () => void = () => undefined
    applying = ([path]) => (path === '/two' ? new Promise((resolve) => (go = resolve)) : Promise.resolve())
    text = withRoute('/two')
    await pass(6)
    text = withRoute('/three')
    await pass(6)
    expect(applied).toEqual([])
    // Perhaps the first half of the next one.
    text = withRoute('/four')
    go()
    await pass(0)
    expect(applied).toEqual(['/two', '/three'])
  })
  it('that cannot be applied is reported, and the next one is', async () => {
    applying = ([path]) => (path === '/two' ? Promise.reject(new Error('no certificate')) : Promise.resolve())
    text = withRoute('/two')
    await pass(6)
    text = withRoute('/three')
    await pass(6)
    expect(applied).toEqual(['/three'])
    expect(events.map(({ name }) => name)).toEqual(['config.rejected', 'config.reloaded'])
  })
  it('is not applied when the end comes before its turn', async () => {
    text = withRoute('/two')
    clock.pass(6)
    follower.close()
    await pass(0)
    expect(applied).toEqual([])
  })
})

describe('settings taken over from another process', () => {
  const first = withRoute('/one', { session: { idle_seconds: 60 } })
  it('are those of its start, with the routes that it has taken since', () => {
    const later = withRoute('/two', { session: { idle_seconds: 90 } })
    const { text: followed, config } = settingsInForce(
      { parse },
      afterApplied(asStarted(first), { text: later, takesSecret: false, isWhole: false }),
    )
    expect(config.session.idleSeconds).toBe(60)
    expect(config.proxy.routes.map(({ path }) => path)).toEqual(['/two'])
    expect(followed).toBe(later)
  })
  it('are those of its start, with the client secret that it has taken since', () => {
    const later = withRoute('/one', { client: { secret: 'another' } })
    const { client } = settingsInForce(
      { parse },
      afterApplied(asStarted(first), { text: later, takesSecret: true, isWhole: false }),
    ).config
    expect('secret' in client && client.secret.reveal()).toBe('another')
  })
  it.each<[string, object]>([
    ['alone', {}],
    ['beside what waits for a restart', { session: { idle_seconds: 60 } }],
  ])('have the client secret that came %s, whatever waits for a restart since', async (_, beside) => {
    const client = { secret: 'after-the-leak' }
    text = withRoute('/two', { client, ...beside })
    await pass(60)
    text = withRoute('/three', { client, authorization_server: { timeout_ms: 4000 }, ...beside })
    await pass(60)
    expect(secrets).toEqual(['after-the-leak', 'after-the-leak'])
    const { config } = settingsInForce({ parse }, inForce)
    expect('secret' in config.client && config.client.secret.reveal()).toBe('after-the-leak')
    expect(config.proxy.routes.map(({ path }) => path)).toEqual(['/three'])
    expect([config.session.idleSeconds, config.authorizationServer.timeoutMs]).toEqual([3600, 8000])
  })
  it('do not take the secret of another client', async () => {
    text = withRoute('/two', { client: { id: 'other-app', secret: 'of-another' } })
    await pass(60)
    const { client } = settingsInForce({ parse }, inForce).config
    expect([client.id, 'secret' in client && client.secret.reveal()]).toEqual(['app', 'not-a-real-secret'])
  })
  it('need no file that named the client secret before', async () => {
    const first = inForce.text
    text = withRoute('/one', { client: { secret: 'of-another-file' } })
    await pass(60)
    const gone = (each: string) => {
      if (each === first) throw new Error('its client.secret_file is gone')
      return parse(each)
    }
    const { client } = settingsInForce({ parse: gone }, inForce).config
    expect('secret' in client && client.secret.reveal()).toBe('of-another-file')
  })
  it('are those of its start as long as nothing has changed', () => {
    expect(settingsInForce({ parse }, asStarted(first)).config.proxy).toEqual(parse(first).proxy)
  })
})
