import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type NginxWorld, fromNow, startNginxWorld } from '../support/nginx-world.ts'
import { ownPage, siblingOrigin } from '../support/proxy-world.ts'
import { type Upstream, answer, echo, okBytes, startUpstream } from '../support/upstream.ts'

let upstream: Upstream
let world: NginxWorld

beforeAll(async () => {
  upstream = await startUpstream()
  world = await startNginxWorld(`
    - path: /api/**
      methods: [GET, HEAD, POST]
      upstream: ${upstream.origin}
      transport: protected_network
`)
})

afterAll(async () => {
  await world.close()
  await upstream.close()
})

beforeEach(() => {
  upstream.seen.length = 0
  upstream.behave(echo)
})

describe('a session inside nginx', () => {
  it('becomes the credential of the API', async () => {
    const answered = await world.call('GET', '/api/echo?a=b')
    expect(answered.status).toBe(200)
    const [seen] = upstream.seen
    expect(seen?.target).toBe('/api/echo?a=b')
    expect(seen?.values('authorization')).toHaveLength(1)
    expect(seen?.values('cookie')).toEqual([])
  })
  it('is missing without a cookie', async () => {
    const answered = await world.call('GET', '/api/echo', { cookies: undefined })
    expect(answered.status).toBe(401)
    expect(JSON.parse(answered.body)).toEqual({ error_code: 'session_missing', detailed_error: 'Nobody is signed in.' })
  })
})
