import { generateKeyPairSync } from 'node:crypto'
import { decodeJwt, decodeProtectedHeader, importSPKI, jwtVerify } from 'jose'
import { describe, expect, it } from 'vitest'
import { createClientIdentity } from '../../../shared/oauth/client-authentication.ts'
import type { ClientSettings } from '../../../shared/oauth/client-keys.ts'
import { Secret } from '../../../shared/secret.ts'
import { createManualClock } from '../../support/manual-clock.ts'
import { temporaryFolder } from '../../support/temporary-folder.ts'

const folder = temporaryFolder()
const clock = createManualClock()
const server = { issuer: 'https://login.example.com', token_endpoint: 'https://login.example.com/token' }

async function authenticate(client: ClientSettings) {
  const identity = createClientIdentity({ config: { client }, clock })
  const body = new URLSearchParams()
  const headers = new Headers()
  await identity.authenticate(server, identity.client, body, headers)
  return { body, headers }
}

function keyFile(name: string, pair: { privateKey: { export(options: object): string | Buffer } }): string {
  return folder.file(name, pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString())
}

describe('client secrets', () => {
  const client = { id: 'a:b', dpopBoundAccessTokens: false }
  const secret = new Secret(`p@ss:w%rd+e'/"`)
  it('Basic encodes both halves, so that a colon or plus arrives as it is (RFC 6749 §2.3.1, D16)', async () => {
    const { headers, body } = await authenticate({ ...client, authentication: 'client_secret_basic', secret })
    const text = Buffer.from(headers.get('authorization')?.replace('Basic ', '') ?? '', 'base64').toString()
    const [id = '', password = ''] = text.split(':')
    const decode = (value: string) => decodeURIComponent(value.replaceAll('+', ' '))
    expect([decode(id), decode(password)]).toEqual(['a:b', secret.reveal()])
    expect([...body]).toEqual([])
  })

  it.each([
    ['example-app', 'a-secret_of.the*client', 'example-app:a-secret_of.the*client'],
    ['https://app.example.com/', ' %&+£€~!', 'https%3A%2F%2Fapp.example.com%2F:+%25%26%2B%C2%A3%E2%82%AC%7E%21'],
  ])(
    'Basic encodes no more of %s than a form does: servers that decode nothing see it as registered',
    async (id, text, expected) => {
      const { headers } = await authenticate({
        ...client,
        id,
        authentication: 'client_secret_basic',
        secret: new Secret(text),
      })
      expect(headers.get('authorization')).toBe(`Basic ${btoa(expected)}`)
    },
  )

  it.each(['client_secret_basic', 'client_secret_post'] as const)(
    'a new one is sent from then on: %s',
    async (authentication) => {
      const settings = { ...client, authentication, secret }
      const identity = createClientIdentity({ config: { client: settings }, clock })
      identity.replaceSecret({ ...settings, secret: new Secret('another') })
      const [body, headers] = [new URLSearchParams(), new Headers()]
      await identity.authenticate(server, identity.client, body, headers)
      expect(headers.get('authorization') ?? body.get('client_secret')).toBe(
        authentication === 'client_secret_post' ? 'another' : `Basic ${btoa('a%3Ab:another')}`,
      )
    },
  )

  it('Post puts both into the form', async () => {
    const { headers, body } = await authenticate({ ...client, authentication: 'client_secret_post', secret })
    expect(Object.fromEntries(body)).toEqual({ client_id: 'a:b', client_secret: secret.reveal() })
    expect([...headers]).toEqual([])
  })
})

const pairs = {
  ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  PS256: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  RS256: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  EdDSA: generateKeyPairSync('ed25519'),
} as const

describe('private_key_jwt', () => {
  const settings = (algorithm: keyof typeof pairs, change: object = {}) =>
    ({
      id: 'spa',
      authentication: 'private_key_jwt',
      algorithm,
      privateKeyFile: keyFile(`${algorithm}.pem`, pairs[algorithm]),
      typedAssertion: true,
      ...change,
    }) as ClientSettings

  it.each(Object.keys(pairs) as (keyof typeof pairs)[])(
    'signs with %s for the issuer alone, briefly (UPD-1, X-9)',
    async (algorithm) => {
      const { body } = await authenticate(settings(algorithm))
      const assertion = body.get('client_assertion') ?? ''
      const spki = pairs[algorithm].publicKey.export({ type: 'spki', format: 'pem' }).toString()
      const { payload, protectedHeader } = await jwtVerify(assertion, await importSPKI(spki, algorithm), {
        currentDate: new Date(clock.nowMs()),
      })
      const { jti, ...claims } = payload
      expect(jti).toMatch(/^.{20,}$/)
      expect(claims).toEqual({
        iss: 'spa',
        sub: 'spa',
        aud: 'https://login.example.com',
        iat: clock.nowSeconds(),
        exp: clock.nowSeconds() + 60,
      })
      expect(protectedHeader.typ).toBe('client-authentication+jwt')
      expect(protectedHeader.kid).toMatch(/^[A-Za-z0-9_-]{43}$/)
    },
  )

  it('is a new assertion for each call (D18)', async () => {
    const ids = await Promise.all(
      [1, 2, 3].map(
        async () => decodeJwt((await authenticate(settings('ES256'))).body.get('client_assertion') ?? '').jti,
      ),
    )
    expect(new Set(ids).size).toBe(3)
  })

  it('goes without typ, and with a key id, where the settings say so', async () => {
    const { body } = await authenticate(settings('ES256', { typedAssertion: false, keyId: 'k1' }))
    expect(decodeProtectedHeader(body.get('client_assertion') ?? '')).toEqual({ alg: 'ES256', kid: 'k1' })
  })

  it('a key of another kind stops the start, naming the file and never the key', () => {
    const wrong = settings('ES256', { privateKeyFile: keyFile('wrong.pem', pairs.PS256) })
    expect(() => createClientIdentity({ config: { client: wrong }, clock })).toThrow(
      /wrong\.pem holds a key of type rsa/,
    )
  })
})
