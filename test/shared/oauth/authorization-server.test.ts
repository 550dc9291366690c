import type { RequestListener } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { describe, expect, it } from 'vitest'
import { systemClock } from '../../../shared/clock.ts'
import {
  type AuthorizationServerSettings,
  createAuthorizationServer,
} from '../../../shared/oauth/authorization-server.ts'
import type { Transport } from '../../../shared/oauth/transport.ts'
import { createCertificate } from '../../support/certificate.ts'
import { startConnectProxy } from '../../support/connect-proxy.ts'
import { proxyConfig } from '../../support/proxy-world.ts'
import { createSigningKey } from '../../support/scripted-authorization-server.ts'
import { temporaryFolder } from '../../support/temporary-folder.ts'

const { file } = temporaryFolder()
const settings = proxyConfig('    - { path: /, upstream: "https://api" }')
const observe = { emit: () => {} }

/** Metadata of an issuer, all of whose endpoints are its own. */
const metadataOf = (issuer: string) => ({
  issuer,
  authorization_endpoint: `${issuer}/authorize`,
  token_endpoint: `${issuer}/token`,
  jwks_uri: `${issuer}/jwks`,
})

describe('a key set of which nobody knows whose it is', () => {
  it.each<[string, string, { status?: number; body: unknown }]>([
    ['not found, although there are keys', 'status', { status: 404, body: { keys: [] } }],
    ['that is elsewhere', 'status', { status: 302, body: { keys: [] } }],
    ['not sent at all', 'status', { status: 204, body: undefined }],
    ['with an object for the list', 'keys', { body: { keys: {} } }],
    ['with a text for the list', 'keys', { body: { keys: 'RSA' } }],
    ['without the list', 'keys', { body: {} }],
    ['that is a list itself', 'keys', { body: [] }],
    ['that is null', 'keys', { body: null }],
  ])('%s: no keys, for want of a good %s', async (_, check, { status = 200, body }) => {
    const server = behind({ status, body })
    await expect(server.prepareKeys()).rejects.toMatchObject({ name: 'ProviderAnswerInvalid', endpoint: 'jwks', check })
  })

  it('members that are no keys are passed over', async () => {
    const key = await createSigningKey()
    const server = behind({ status: 200, body: { keys: [null, 'key', 7, [], key.publicJwk] } })
    await expect(server.prepareKeys()).resolves.toBeUndefined()
  })

  function behind(jwks: { status: number; body: unknown }) {
    const transport: Transport = {
      call: (endpoint) => {
        if (endpoint === 'metadata')
          return Promise.resolve(Response.json(metadataOf(settings.authorizationServer.issuer)))
        const text = jwks.body === undefined ? null : JSON.stringify(jwks.body)
        return Promise.resolve(new Response(text, { status: jwks.status }))
      },
      close: () => Promise.resolve(),
    }
    return createAuthorizationServer({ config: settings, clock: systemClock, observe, transport })
  }
})

it('tokens that are to be bound to a key are never asked for without one', () => {
  const config = { ...settings, client: { ...settings.client, dpopBoundAccessTokens: true } }
  expect(() => createAuthorizationServer({ config, clock: systemClock, observe })).toThrow(RangeError)
})

describe('the files of the settings, on the way through an HTTP proxy that speaks TLS', () => {
  const authority = createCertificate({ name: 'authority' })
  const proxyAuthority = createCertificate({ name: 'proxy authority' })
  const caFile = file('authority.crt', authority.certificate)
  const httpProxyCaFile = file('proxy-authority.crt', proxyAuthority.certificate)
  const mine = createCertificate({ name: 'client', issuer: authority })

  it.each<[string, { caFile?: string; httpProxyCaFile?: string }, string]>([
    ['are read', { caFile, httpProxyCaFile }, 'client'],
    ['vouch for the server only if they say so', { httpProxyCaFile }, 'connect_failed'],
    ['vouch for the proxy only if they say so', { caFile }, 'proxy_connect_failed'],
    ['do not vouch for each other', { caFile: httpProxyCaFile, httpProxyCaFile: caFile }, 'proxy_connect_failed'],
  ])('%s', async (_, files, expected) => {
    const world = await start()
    const config: AuthorizationServerSettings = {
      ...settings,
      authorizationServer: {
        ...settings.authorizationServer,
        issuer: world.issuer,
        httpProxy: world.proxy.origin,
        ...files,
      },
      client: {
        ...settings.client,
        authentication: 'tls_client_auth',
        certificateFile: file('client.crt', mine.certificate),
        privateKeyFile: file('client.key', mine.privateKey),
      },
    }
    const server = createAuthorizationServer({ config, clock: systemClock, observe })
    const outcome = await server.metadata().then(
      () => world.shown.join(),
      (error: unknown) => (error as { reason: string }).reason,
    )
    expect(outcome).toBe(expected)
    await server.close()
    await world.close()
  })

  /** A server that asks for a certificate, and a proxy before it. */
  async function start() {
    const host = 'login.invalid'
    const shown: string[] = []
    const { certificate: cert, privateKey: key } = createCertificate({
      name: 'server',
      issuer: authority,
      hosts: [host],
    })
    const answer: RequestListener = (request, response) => {
      shown.push(String((request.socket as TLSSocket).getPeerCertificate().subject.CN))
      response.setHeader('content-type', 'application/json').end(JSON.stringify(metadataOf(`https://${host}`)))
    }
    const tls = { cert, key, ca: authority.certificate, requestCert: true, rejectUnauthorized: true }
    const server = createServer(tls, answer)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const proxy = await startConnectProxy({
      certificate: createCertificate({ name: 'proxy', issuer: proxyAuthority, hosts: ['127.0.0.1'] }),
      leadsTo: (server.address() as AddressInfo).port,
    })
    return {
      issuer: `https://${host}`,
      proxy,
      shown,
      async close() {
        await proxy.close()
        server.closeAllConnections()
        await new Promise((resolve) => server.close(resolve))
      },
    }
  }
})
