import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { type Demo, startDemo } from '../../spa-example/demo.ts'

describe('the demo', () => {
  let demo: Demo | undefined
  afterEach(() => demo?.close())

  it('serves page, agent and proxy on one origin, and the OpenID Provider on another site', async () => {
    demo = await startDemo({ port: 0 })
    const { appOrigin, issuer } = demo
    const [page, session, orders, metadata] = await Promise.all([
      fetch(appOrigin),
      fetch(`${appOrigin}/oauth-agent/session`, { headers: { 'token-handler-version': '1' } }),
      fetch(`${appOrigin}/api/orders`, { headers: { 'token-handler-version': '1' } }),
      fetch(`${issuer}/.well-known/openid-configuration`),
    ])
    expect(await page.text()).toContain('<title>Token Handler example</title>')
    expect(await session.json()).toEqual({ is_logged_in: false })
    expect([orders.status, await orders.json()]).toMatchObject([401, { error_code: 'session_missing' }])
    expect(await metadata.json()).toMatchObject({ issuer })
    expect([new URL(appOrigin).hostname, new URL(issuer).hostname]).toEqual(['localhost', '127.0.0.1'])
  })

  it('stops with everything it started, and can start again at once', async () => {
    const first = await startDemo({ port: 0 })
    const { port } = new URL(first.appOrigin)
    await first.close()
    await expect(fetch(first.appOrigin)).rejects.toThrow()
    await expect(fetch(first.issuer)).rejects.toThrow()
    demo = await startDemo({ port: Number(port) })
    expect(demo.appOrigin).toBe(first.appOrigin)
  })

  it('rejects with the error of the system when its port is in use', async () => {
    const taken = createServer()
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
    const { port } = taken.address() as AddressInfo
    await expect(startDemo({ port })).rejects.toMatchObject({ code: 'EADDRINUSE' })
    await new Promise<void>((resolve) => taken.close(() => resolve()))
  })
})
