import { generateKeyPairSync } from 'node:crypto'
import { X509Certificate } from 'node:crypto'
import { decodeProtectedHeader } from 'jose'
import { describe, expect, it } from 'vitest'
import { fromServer } from '../support/page.ts'
import { createCertificate } from '../support/certificate.ts'
import { startProviderWorld } from '../support/provider-world.ts'
import { startScriptedServer, startScriptedWorld } from '../support/scripted-authorization-server.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { clientId } from '../support/world.ts'

const { file } = temporaryFolder()
function keyFile(name: string, { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })): string {
  return file(name, privateKey.export({ type: 'pkcs8', format: 'pem' }).toString())
}

const [present, next] = [keyFile('present.pem'), keyFile('next.pem')]
const withKey = (privateKeyFile: string, nextFile?: string) =>
  `  authentication: private_key_jwt\n  private_key_file: ${privateKeyFile}` +
  (nextFile === undefined ? '' : `\n  next_private_key_file: ${nextFile}`)

/** What a server that fetches our keys sends: nothing of a browser. */

async function publishedKeys(client?: string): Promise<Record<string, unknown>[]> {
  const world = await startScriptedWorld(client === undefined ? {} : { client })
  const answer = await world.browser().call('GET', '/oauth-agent/jwks', { headers: fromServer })
  await world.close()
  return answer.status === 200 ? (answer.json()['keys'] as Record<string, unknown>[]) : []
}

describe('GET /jwks', () => {
  it('gives the present and the next key to whoever asks, and only their public halves', async () => {
    const keys = await publishedKeys(withKey(present, next))
    expect(keys).toHaveLength(2)
    for (const key of keys) {
      expect(Object.keys(key).sort()).toEqual(['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y'])
      expect(key).toMatchObject({ kty: 'EC', crv: 'P-256', alg: 'ES256', use: 'sig' })
    }
    expect(new Set(keys.map(({ kid }) => kid)).size).toBe(2)
  })

  it('is not there for a client with a secret', async () => {
    expect(await publishedKeys()).toEqual([])
  })

  it('gives a self-signed certificate with its chain, for registration by jwks_uri (RFC 8705 §2.2.2)', async () => {
    const { certificate, privateKey } = createCertificate({ name: clientId })
    const [crt, key] = [file('self.crt', certificate), file('self.key', privateKey)]
    const [jwk] = await publishedKeys(
      `  authentication: self_signed_tls_client_auth\n  certificate_file: ${crt}\n  private_key_file: ${key}`,
    )
    expect(jwk?.['x5c']).toEqual([new X509Certificate(certificate).raw.toString('base64')])
    expect(jwk).not.toHaveProperty('d')
  })

  it('a next key that cannot sign stops the start, naming the setting', async () => {
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
    const wrong = file('wrong.pem', rsa.export({ type: 'pkcs8', format: 'pem' }).toString())
    await expect(startScriptedWorld({ client: withKey(present, wrong) })).rejects.toThrow(
      /client\.next_private_key_file .*is not a key for ES256/,
    )
  })
})

describe('private_key_jwt with the real oidc-provider', () => {
  const metadata = {
    client_secret: undefined,
    token_endpoint_auth_method: 'private_key_jwt',
    token_endpoint_auth_signing_alg: 'ES256',
  }

  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
  it.each([
    ['ES256', present],
    ['PS256', keyFile('ps256.pem', rsa)],
    ['RS256', keyFile('rs256.pem', rsa)],
    ['EdDSA', keyFile('eddsa.pem', generateKeyPairSync('ed25519'))],
  ])('that fetches our keys from our endpoint and demands %s of assertions and requests', async (alg, key) => {
    const world = await startProviderWorld({
      client: `${withKey(key)}\n  algorithm: ${alg}`,
      settings: 'login: { signed_request_object: true }',
      metadata: (origin) => ({
        ...metadata,
        jwks_uri: `${origin}/oauth-agent/jwks`,
        token_endpoint_auth_signing_alg: alg,
        request_object_signing_alg: alg,
      }),
    })
    expect((await world.browser().signIn()).json()['is_logged_in']).toBe(true)
    await world.close()
  })

  it('that fetched them before the next key took over: no gap', async () => {
    const keys = await publishedKeys(withKey(present, next))
    for (const client of [withKey(present, next), withKey(next)]) {
      const world = await startProviderWorld({ client, metadata: { ...metadata, jwks: { keys } } })
      const page = world.browser()
      expect((await page.signIn()).json()['is_logged_in']).toBe(true)
      expect((await page.call('POST', '/oauth-agent/refresh')).status).toBe(200)
      const assertions = world.tap.calls.flatMap(({ form }) => form.get('client_assertion') ?? [])
      const kids = new Set(assertions.map((assertion) => decodeProtectedHeader(assertion).kid))
      expect([...kids]).toEqual([keys[client === withKey(next) ? 1 : 0]?.['kid']])
      await world.close()
    }
  })
})

describe('mutual TLS with the real oidc-provider (RFC 8705)', () => {
  const authority = createCertificate({ name: 'authority' })
  const server = createCertificate({ name: '127.0.0.1', issuer: authority, hosts: ['127.0.0.1'] })
  const tls = { key: server.privateKey, cert: server.certificate, ca: authority.certificate }
  const trust = `  ca_file: ${file('authority.crt', authority.certificate)}`

  const client = (method: string, { certificate, privateKey }: typeof server, name: string) =>
    `  authentication: ${method}\n  certificate_file: ${file(`${name}.crt`, certificate)}\n` +
    `  private_key_file: ${file(`${name}.key`, privateKey)}`

  const known = createCertificate({ name: clientId, issuer: authority })
  const stranger = createCertificate({ name: 'somebody', issuer: authority })
  const selfSigned = createCertificate({ name: clientId })
  const otherSelfSigned = createCertificate({ name: clientId })
  const der = new X509Certificate(selfSigned.certificate)
  const selfSignedKey = { ...der.publicKey.export({ format: 'jwk' }), x5c: [der.raw.toString('base64')] }

  const byAuthority = { token_endpoint_auth_method: 'tls_client_auth', tls_client_auth_subject_dn: `CN=${clientId}` }
  const bySelf = { token_endpoint_auth_method: 'self_signed_tls_client_auth', jwks: { keys: [selfSignedKey] } }

  it.each([
    ['tls_client_auth', 'known', known, byAuthority, 200],
    ['tls_client_auth', 'stranger', stranger, byAuthority, 503],
    ['self_signed_tls_client_auth', 'self', selfSigned, bySelf, 200],
    ['self_signed_tls_client_auth', 'other', otherSelfSigned, bySelf, 503],
  ] as const)('%s with the certificate of %s', async (method, name, certificate, metadata, status) => {
    const world = await startProviderWorld({
      authorizationServer: trust,
      client: client(method, certificate, name),
      metadata: { client_secret: undefined, ...metadata },
      provider: { tls },
    })
    const page = world.browser()
    const start = await page.call('POST', '/oauth-agent/login/start')
    expect(start.status).toBe(status)
    if (status === 200) {
      const query = await page.visit(String(start.json()['authorization_url']))
      expect((await page.call('POST', '/oauth-agent/login/end', { form: query })).json()['is_logged_in']).toBe(true)
      expect((await page.call('POST', '/oauth-agent/refresh')).status).toBe(200)
      expect(world.tap.calls.every(({ headers }) => headers['authorization'] === undefined)).toBe(true)
    } else {
      expect(start.json()['error_code']).toBe('client_authentication_failed')
    }
    await world.close()
  })

  it('is not spoken to when its certificate is of an authority nobody named', async () => {
    const world = await startProviderWorld({
      client: client('tls_client_auth', known, 'known'),
      metadata: { client_secret: undefined, ...byAuthority },
      provider: { tls },
    })
    expect((await world.browser().call('POST', '/oauth-agent/login/start')).status).toBe(503)
    await world.close()
  })

  it('uses the endpoints that ask for certificates where the server has some (RFC 8705 §5)', async () => {
    const alias = await startScriptedServer()
    const world = await startScriptedWorld({ client: client('self_signed_tls_client_auth', selfSigned, 'self') })
    const { issuer } = alias
    world.server.changeMetadata({
      mtls_endpoint_aliases: { token_endpoint: `${issuer}/token`, revocation_endpoint: `${issuer}/revocation` },
    })
    alias.script.token = (form) => world.server.tokens(form)
    const page = world.browser()
    await world.signIn(page)
    await page.call('POST', '/oauth-agent/logout')
    expect([alias.count('token'), alias.count('revocation')]).toEqual([1, 2])
    expect([world.server.count('token'), world.server.count('revocation')]).toEqual([0, 0])
    await world.close()
    await alias.close()
  })
})
