import { createServer, type Server } from 'node:http'
import { request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { buildPages, createPages } from '../../spa-example/host/pages.ts'

const pageOrigin = 'http://localhost:3000'

describe('the pages of the example', () => {
  let server: Server
  beforeAll(async () => {
    const assets = await buildPages()
    const pages = createPages({
      assets,
      pagePaths: ['/', '/callback'],
      redirectPath: '/callback',
      pageOrigin,
      agent: '/oauth-agent',
      plainCookies: false,
    })
    server = createServer((incoming, response) => {
      if (!pages(incoming, response)) response.writeHead(404).end('not a page')
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  })
  afterAll(() => server.close())

  const get = (path: string, host = 'localhost:3000', method = 'GET') =>
    new Promise<{ status: number; headers: Record<string, unknown>; body: string }>((resolve, reject) => {
      const { port } = server.address() as AddressInfo
      const sent = request({ host: '127.0.0.1', port, path, method, headers: { host } }, (answer) => {
        let body = ''
        answer.setEncoding('utf8').on('data', (chunk: string) => (body += chunk))
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body }))
      })
      sent.on('error', reject).end()
    })

  it('come with a policy that lets nothing in from elsewhere', async () => {
    const { status, headers } = await get('/')
    expect(status).toBe(200)
    expect(headers).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      'cross-origin-opener-policy': 'same-origin-allow-popups',
      'referrer-policy': 'no-referrer',
    })
    const policy = String(headers['content-security-policy'])
    for (const rule of ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"]) {
      expect(policy).toContain(rule)
    }
    expect(policy).not.toContain('unsafe')
  })

  it('have no inline script or style', async () => {
    const { body } = await get('/')
    expect(body).not.toMatch(/<script(?![^>]*\bsrc=)[^>]*>|<style|\son\w+=|\sstyle=/)
  })

  it('leave the page of return its opener', async () => {
    expect((await get('/callback?code=x')).headers['cross-origin-opener-policy']).toBeUndefined()
  })

  it('keep assets, whose names change with their content', async () => {
    const asset = /\/assets\/[\w.-]+\.js/.exec((await get('/')).body)?.[0]
    const { status, headers } = await get(String(asset))
    expect([status, headers['cache-control']]).toEqual([200, 'public, max-age=31536000, immutable'])
  })

  it('are not served under other names, which may be made up (DNS rebinding)', async () => {
    const { status, headers } = await get('/?x=1', 'evil.example')
    expect([status, headers['location']]).toEqual([307, `${pageOrigin}/`])
  })

  it.each(['/index.htm', '/../demo.ts', '/assets/', '/assets/../../demo.ts', '/oauth-agent/session', '/api/orders'])(
    'leave %s to others',
    async (path) => {
      expect((await get(path)).body).toBe('not a page')
    },
  )

  it('answer nothing but GET and HEAD', async () => {
    expect((await get('/', undefined, 'POST')).status).toBe(404)
    expect((await get('/', undefined, 'HEAD')).body).toBe('')
  })
})
