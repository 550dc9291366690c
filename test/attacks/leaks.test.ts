import { afterEach, describe, expect, it } from 'vitest'
import { createLog } from '../../shared/observe/log.ts'
import { createAudit } from '../../shared/observe/audit.ts'
import { createMetrics } from '../../shared/observe/metrics.ts'
import { createObserve } from '../../shared/observe/observe.ts'
import { type ProviderWorld, startProviderWorld } from '../support/provider-world.ts'
import { type Upstream, answer as answerWith, okBytes, startUpstream } from '../support/upstream.ts'

let world: ProviderWorld | undefined
let upstream: Upstream | undefined
afterEach(async () => {
  await world?.close()
  await upstream?.close()
  world = undefined
  upstream = undefined
})

const endpoints: readonly (readonly [string, string])[] = [
  ['POST', '/oauth-agent/login/start'],
  ['POST', '/oauth-agent/login/end'],
  ['GET', '/oauth-agent/session'],
  ['GET', '/oauth-agent/userinfo'],
  ['POST', '/oauth-agent/refresh'],
  ['POST', '/oauth-agent/logout'],
  ['GET', '/oauth-agent/nothing'],
  ['DELETE', '/oauth-agent/session'],
]

describe('what leaves the process', () => {
  it('M01: no answer of the agent may be stored, whatever the cookies are and whatever went wrong', async () => {
    world = await startProviderWorld()
    const signedIn = world.browser()
    await signedIn.signIn('alice')
    const stranger = world.browser()
    const garbage = world.browser()
    garbage.jar.take('localhost', '__Host-Http-th-at=garbage; Path=/; Secure; HttpOnly; SameSite=Strict')
    for (const page of [stranger, garbage, signedIn]) {
      for (const [method, path] of endpoints) {
        for (const headers of [{}, { 'token-handler-version': '' }]) {
          const answer = await page.call(method, path, { headers })
          expect([method, path, answer.headers['cache-control']]).toEqual([method, path, 'no-store'])
        }
      }
    }
  })

  it('M04: no secret stands in a log line, an audit row or a metric of a whole session at the finest level', async () => {
    world = await startProviderWorld({ settings: 'login:\n  scope: openid profile email offline_access' })
    const page = world.browser()
    await page.signIn('alice')
    const cookies = () => page.jar.header('localhost', '/', 'same-site')?.split('; ') ?? []
    const sealed = cookies()
    await page.call('GET', '/oauth-agent/userinfo')
    await page.call('POST', '/oauth-agent/refresh')
    sealed.push(...cookies())
    page.jar.take('localhost', '__Host-Http-th-at=AQAAAA; Path=/; Secure; HttpOnly; SameSite=Strict')
    await page.call('GET', '/oauth-agent/session')
    await page.call('POST', '/oauth-agent/login/end', {
      form: { code: 'made-up-code-4711', state: 'made-up-state-4711' },
    })
    await page.call('POST', '/oauth-agent/logout')

    const lines: string[] = []
    const write = (line: string) => void lines.push(line)
    const metrics = createMetrics({ processMetrics: false })
    const observe = createObserve({
      clock: world.clock,
      sinks: [createLog({ level: 'debug', write, withAudit: true }), createAudit(write), metrics.sink],
    })
    for (const { name, fields } of world.events) observe.emit(name, fields)
    const text = `${lines.join('\n')}\n${(await metrics.render()).text}`

    expect(lines.length).toBeGreaterThan(world.events.length / 2)
    for (const { kind, forms } of world.tap.secrets()) {
      for (const form of forms) expect([kind, text.includes(form)]).toEqual([kind, false])
    }
    expect(new Set(sealed).size).toBe(6)
    for (const cookie of sealed) {
      expect(text).not.toContain(cookie.slice(cookie.indexOf('=') + 1).slice(0, 24))
    }
    expect(text).not.toMatch(/made-up-(?:code|state)/)
  })

  it('M06: the app learns claims that are listed, and no token', async () => {
    world = await startProviderWorld({ settings: 'login:\n  scope: openid profile email\n  claims: [sub, name]' })
    const page = world.browser()
    const answers = [await page.signIn('alice'), await page.call('GET', '/oauth-agent/session')]
    for (const answer of answers) {
      const claims = answer.json()['id_token_claims']
      expect(Object.keys(claims as object).sort()).toEqual(['name', 'sub'])
    }
    const userinfo = await page.call('GET', '/oauth-agent/userinfo')
    expect(userinfo.text).not.toMatch(/token/)
  })

  it('M10: the agent never compresses an answer', async () => {
    world = await startProviderWorld()
    const page = world.browser()
    await page.signIn('alice')
    for (const coding of ['gzip', 'br', 'zstd, deflate', '*']) {
      const answer = await page.call('GET', '/oauth-agent/session', { headers: { 'accept-encoding': coding } })
      expect(answer.headers['content-encoding']).toBeUndefined()
    }
  })

  it.each([
    ['public, max-age=600'],
    ['s-maxage=600'],
    ['public, immutable, max-age=31536000'],
    ['PUBLIC'],
    ['max-age=0, s-maxage=1'],
    [undefined],
  ])('M02: an answer for one user is never for a shared cache, also when the API says %s', async (cacheControl) => {
    upstream = await startUpstream()
    upstream.behave(answerWith(okBytes('{}', cacheControl === undefined ? [] : [`Cache-Control: ${cacheControl}`])))
    world = await startProviderWorld({
      settings: `proxy:\n  routes:\n    - path: /api/**\n      upstream: ${upstream.origin}`,
    })
    const page = world.browser()
    await page.signIn('alice')
    const answer = await page.call('GET', '/api/mine')
    expect(answer.status).toBe(200)
    const directives = (answer.headers['cache-control'] ?? '').toLowerCase()
    expect(directives).toMatch(/\b(?:private|no-store)\b/)
    expect(directives).not.toMatch(/public|s-maxage/)
  })

  it('M11: no address that a cache takes for a file is answered with what is private', async () => {
    upstream = await startUpstream()
    upstream.behave(answerWith(okBytes('private', ['Cache-Control: public, max-age=600'])))
    world = await startProviderWorld({
      settings: `proxy:\n  routes:\n    - path: /api/mine\n      upstream: ${upstream.origin}`,
    })
    const page = world.browser()
    await page.signIn('alice')
    const separators = [
      '',
      '/',
      '.',
      ';',
      '%00',
      '%0a',
      '%09',
      '%23',
      '%3b',
      '%3f',
      '%2f',
      '%5c',
      '!',
      ',',
      ':',
      '~',
      '/..%2f',
    ]
    const files = ['x.css', 'logo.png', 'robots.txt', 'static/app.js', 'favicon.ico']
    for (const place of ['/oauth-agent/session', '/api/mine']) {
      expect((await page.call('GET', place)).status).toBe(200)
      for (const file of separators.flatMap((separator) => files.map((name) => `${separator}${name}`))) {
        const answer = await page.call('GET', `${place}${file}`)
        expect([file, answer.status >= 400, answer.headers['cache-control']]).toEqual([file, true, 'no-store'])
      }
      const behindQuery = await page.call('GET', `${place}?x=/logo.png`)
      expect(behindQuery.headers['cache-control']).toMatch(/^(?:no-store|private, max-age=600)$/)
    }
    expect(upstream.seen.map(({ target }) => target)).toEqual(['/api/mine', '/api/mine?x=/logo.png'])
  })
})
