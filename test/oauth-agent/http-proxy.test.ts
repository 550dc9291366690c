import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createCertificate } from '../support/certificate.ts'
import { type ConnectProxy, startConnectProxy } from '../support/connect-proxy.ts'
import { freePort } from '../support/free-port.ts'
import { type ProviderWorld, startProviderWorld } from '../support/provider-world.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { clientId } from '../support/world.ts'

const { file } = temporaryFolder()

/** A name that resolves nowhere (RFC 6761 §6.4): the provider can be found through the proxy only. */
const host = 'login.invalid'
const authority = createCertificate({ name: 'authority' })
const server = createCertificate({ name: 'server', issuer: authority, hosts: [host] })
const mine = createCertificate({ name: clientId, issuer: authority })
const stranger = createCertificate({ name: 'somebody', issuer: authority })
const authorization = file('proxy-authorization', 'Basic dXNlcjpob3JzZQ==\n')

let proxy: ConnectProxy
beforeEach(async () => {
  proxy = await startConnectProxy()
})
afterEach(() => proxy.close())

interface Change {
  readonly authority?: typeof authority
  readonly client?: string
  readonly metadata?: Readonly<Record<string, unknown>>
}

async function start(change: Change = {}): Promise<ProviderWorld> {
  const port = await freePort()
  return startProviderWorld({
    provider: {
      port,
      issuer: `https://${host}:${port}`,
      tls: { key: server.privateKey, cert: server.certificate, ca: authority.certificate },
    },
    authorizationServer: [
      `  http_proxy: ${proxy.origin}`,
      `  http_proxy_authorization_file: ${authorization}`,
      `  ca_file: ${file('authority.crt', (change.authority ?? authority).certificate)}`,
    ].join('\n'),
    ...(change.client !== undefined && { client: change.client }),
    ...(change.metadata !== undefined && { metadata: change.metadata }),
  })
}

const withCertificate = ({ certificate, privateKey }: typeof mine) =>
  `  authentication: tls_client_auth\n  certificate_file: ${file('client.crt', certificate)}\n` +
  `  private_key_file: ${file('client.key', privateKey)}`
const knownByCertificate = {
  client_secret: undefined,
  token_endpoint_auth_method: 'tls_client_auth',
  tls_client_auth_subject_dn: `CN=${clientId}`,
}

describe('an authorization server behind an HTTP proxy, with the real oidc-provider', () => {
  it('sign-in, refresh and sign-out go through tunnels that show the proxy nothing', async () => {
    const world = await start()
    const page = world.browser()
    expect((await page.signIn()).json()['is_logged_in']).toBe(true)
    expect((await page.call('POST', '/oauth-agent/refresh')).status).toBe(200)
    expect((await page.call('GET', '/oauth-agent/userinfo')).status).toBe(200)
    expect((await page.call('POST', '/oauth-agent/logout')).status).toBe(200)
    const endpoints = new Set(world.tap.calls.map(({ endpoint }) => endpoint))
    expect([...endpoints]).toEqual(
      expect.arrayContaining(['metadata', 'token', 'userinfo', 'revocation', 'pushed_authorization_request']),
    )
    expect(world.tap.calls.every(({ headers }) => headers['proxy-authorization'] === undefined)).toBe(true)
    expect(new Set(proxy.asked.map(({ authority: asked }) => asked))).toEqual(
      new Set([`${host}:${world.provider.port}`]),
    )
    expect(new Set(proxy.asked.map(({ headers }) => headers['proxy-authorization']))).toEqual(
      new Set(['Basic dXNlcjpob3JzZQ==']),
    )
    expect(proxy.readable).toEqual([])
    const carried = proxy.carried()
    const leaked = world.tap.secrets().filter(({ forms }) => forms.some((form) => carried.includes(form)))
    expect(leaked).toEqual([])
    await world.close()
  })

  it.each([
    ['the certificate of the client', mine, 200],
    ['a certificate of somebody else', stranger, 503],
  ])('mutual TLS holds through the tunnel, with %s', async (_, certificate, status) => {
    const world = await start({ client: withCertificate(certificate), metadata: knownByCertificate })
    const begun = await world.browser().call('POST', '/oauth-agent/login/start')
    expect(begun.status).toBe(status)
    if (status === 200) expect((await world.browser().signIn()).json()['is_logged_in']).toBe(true)
    else expect(begun.json()['error_code']).toBe('client_authentication_failed')
    await world.close()
  })

  it('whoever answers at the end of the tunnel has to prove its name', async () => {
    const world = await start({ authority: createCertificate({ name: 'other authority' }) })
    expect((await world.browser().call('POST', '/oauth-agent/login/start')).status).toBe(503)
    expect(world.told('provider.unavailable').map(({ fields }) => fields['reason'])).toContain('connect_failed')
    await world.close()
  })

  it.each([
    [407, 'proxy_refused'],
    [502, 'proxy_gateway_error'],
  ])('a proxy that answers %i keeps the session, and is named as what failed', async (status, reason) => {
    const world = await start()
    const page = world.browser()
    await page.signIn()
    proxy.answer = () => status
    for (const socket of proxy.open) socket.destroy()
    await expect
      .poll(async () => {
        await page.call('POST', '/oauth-agent/refresh')
        return world.told('provider.unavailable').at(-1)?.fields
      })
      .toEqual({ endpoint: 'token', reason, proxy_status: status })
    const refused = await page.call('POST', '/oauth-agent/refresh')
    expect([refused.status, refused.json()['error_code']]).toEqual([503, 'authorization_server_unavailable'])
    expect(refused.text + JSON.stringify([world.events, refused.headers])).not.toMatch(/dXNlcj|127\.0\.0\.1/)
    proxy.answer = () => 'tunnel'
    world.clock.pass(60)
    expect((await page.call('POST', '/oauth-agent/refresh')).status).toBe(200)
    await world.close()
  })
})
