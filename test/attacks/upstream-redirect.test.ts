import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type ProxyWorld, startProxy } from '../support/proxy-world.ts'
import { answer, okBytes, startUpstream, type Upstream } from '../support/upstream.ts'

let api: Upstream
let elsewhere: Upstream
let world: ProxyWorld

beforeAll(async () => {
  api = await startUpstream()
  elsewhere = await startUpstream()
  world = await startProxy(`
    - path: /api/**
      methods: [GET, POST]
      upstream: '${api.origin}'
      strip_prefix: /api
      add_prefix: /v1
      redirect_origins: [https://files.example.com]
`)
})

beforeEach(() => api.reset())

afterAll(async () => {
  await world.close()
  await api.close()
  await elsewhere.close()
})

describe('K14 HX-12 an API sends the browser somewhere', () => {
  it.each<[string, () => string, number, string | undefined]>([
    ['to itself', () => '/v1/next', 302, '/api/next'],
    ['to itself by its inner name', () => `${api.origin}/v1/next?a=b`, 307, '/api/next?a=b'],
    [
      'to itself under the protocol it is told',
      () => `${api.origin.replace('http:', 'https:')}/v1/next`,
      307,
      '/api/next',
    ],
    ['to itself under the host it is told', () => 'https://www.example.com/v1/next', 302, '/api/next'],
    ['to our pages, which no route reaches', () => 'https://www.example.com/oauth-agent/logout', 302, undefined],
    ['to our host at another port', () => 'https://www.example.com:444/v1/next', 302, undefined],
    ['to a listed origin', () => 'https://files.example.com/f?sig=1', 302, 'https://files.example.com/f?sig=1'],
    ['to another server of the inner network', () => `${elsewhere.origin}/v1/x`, 302, undefined],
    ['to a place of itself that no route reaches', () => '/admin', 302, undefined],
    ['to another host in disguise', () => '//evil.example/v1/x', 302, undefined],
    ['to a scheme', () => 'javascript:alert(1)', 302, undefined],
  ])('%s', async (_, location, status, visible) => {
    api.behave(answer(okBytes('', [`Location: ${location()}`], `${status} Elsewhere`)))
    const answered = await world.call('GET', '/api/x')
    expect(answered.status).toBe(visible === undefined ? 502 : status)
    expect(answered.header('location')).toBe(visible)
    expect(answered.lines.join()).not.toContain('127.0.0.1')
    expect(elsewhere.accepted).toBe(0)
    expect(api.seen).toHaveLength(1)
  })

  it('tells where something was created, or leaves it out', async () => {
    for (const [location, visible] of [
      ['/v1/orders/8', '/api/orders/8'],
      [`${elsewhere.origin}/orders/8`, undefined],
    ]) {
      api.behave(answer(okBytes('', [`Location: ${location}`], '201 Created')))
      const answered = await world.call('POST', '/api/orders', { body: 'a', more: ['Origin: https://www.example.com'] })
      expect([answered.status, answered.header('location')]).toEqual([201, visible])
    }
  })
})
