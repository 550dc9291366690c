import { createPublicKey } from 'node:crypto'
import { CompactEncrypt, CompactSign, type CompactJWSHeaderParameters, FlattenedSign, importJWK } from 'jose'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { logOutByToken, type Page } from '../support/page.ts'
import {
  createSigningKey,
  type ScriptedWorld,
  type SigningKey,
  startScriptedWorld,
} from '../support/scripted-authorization-server.ts'
import { okBytes, startUpstream, type Upstream } from '../support/upstream.ts'
import { clientSecret } from '../support/world.ts'

/** Attack: be believed by a JWT that brings the means of its own verification. Anybody may hand us a logout token. */

let world: ScriptedWorld
let page: Page
let issuerKey: SigningKey
let stranger: SigningKey
let canary: Upstream
beforeAll(async () => {
  world = await startScriptedWorld({ settings: 'logout: { backchannel: true }' })
  stranger = await createSigningKey('ES256')
  const [first] = world.server.keys
  issuerKey = first ?? stranger
  canary = await startUpstream()
  canary.behave((socket) => socket.write(okBytes(JSON.stringify({ keys: [stranger.publicJwk] }))))
})
afterAll(async () => {
  await world.close()
  await canary.close()
})
beforeEach(async () => {
  // A logout token of the test before ends what began before it.
  world.clock.pass(2)
  page = world.browser()
  await world.signIn(page)
})

const present = async (token: string) => (await logOutByToken(world.browser(), { logout_token: token })).status

/** The claims of a good logout token. */
const claims = async () => {
  const [, payload = ''] = (await world.server.logoutToken({ sub: 'alice' })).split('.')
  return Buffer.from(payload, 'base64url')
}
const typ = 'logout+jwt'
const byStranger = async (header: Partial<CompactJWSHeaderParameters>) =>
  new CompactSign(await claims())
    .setProtectedHeader({ alg: 'ES256', typ, kid: stranger.kid, ...header })
    .sign(stranger.privateKey, { crit: { exp: true, 'urn:x': true } })

async function bySecret(secret: Buffer): Promise<string[]> {
  const tokens: string[] = []
  for (const alg of ['HS256', 'HS384', 'HS512']) {
    const key = await importJWK({ kty: 'oct', k: secret.toString('base64url') }, alg)
    for (const kid of [issuerKey.kid, undefined]) {
      const header = { alg, typ, ...(kid === undefined ? undefined : { kid }) }
      tokens.push(await new CompactSign(await claims()).setProtectedHeader(header).sign(key))
    }
  }
  return tokens
}

async function expectRefused(tokens: readonly string[]): Promise<void> {
  for (const token of tokens) expect(await present(token)).toBe(400)
  expect((await page.call('GET', '/oauth-agent/session')).json()['is_logged_in']).toBe(true)
  expect(canary.accepted).toBe(0)
}

it('C31 the algorithm is that of a secret, and the secret is something public or ours', async () => {
  const { publicJwk } = issuerKey
  const publicKey = createPublicKey({ key: { ...publicJwk }, format: 'jwk' })
  const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString()
  const secrets = [
    Buffer.from(pem),
    Buffer.from(pem.trim()),
    publicKey.export({ type: 'spki', format: 'der' }),
    Buffer.from(publicJwk.x ?? '', 'base64url'),
    Buffer.from(JSON.stringify(publicJwk)),
    Buffer.from(clientSecret),
    Buffer.from('\0'),
  ]
  await expectRefused((await Promise.all(secrets.map(bySecret))).flat())
})

it('C31 the header brings the key, or says where it is', async () => {
  const { publicJwk } = stranger
  const url = `${canary.origin}/keys.json`
  const kids = [stranger.kid, issuerKey.kid]
  const sources = [
    { jwk: publicJwk },
    { jku: url },
    { x5u: url },
    { jku: `${world.server.issuer}@127.0.0.1:${canary.port}/jwks` },
    { x5c: [Buffer.alloc(64, 1).toString('base64')] },
    { jwk: publicJwk, jku: url, x5u: url },
  ]
  const headers = kids.flatMap((kid) => sources.map((source) => ({ kid, ...source })))
  await expectRefused(await Promise.all(headers.map(byStranger)))
})

it('C31 the name of the key is a path, a statement, a prototype, or long', async () => {
  const kids = [
    '/dev/null',
    '../../../../dev/null',
    "' UNION SELECT '",
    '__proto__',
    'constructor',
    '',
    'a'.repeat(8000),
  ]
  await expectRefused(await Promise.all(kids.map((kid) => byStranger({ kid }))))
})

it('C31 the header demands what nobody here understands', async () => {
  await expectRefused(
    await Promise.all([byStranger({ crit: ['exp'], exp: 1 }), byStranger({ crit: ['urn:x'], 'urn:x': 1 })]),
  )
  const unencoded = { alg: issuerKey.alg, kid: issuerKey.kid, typ, b64: false, crit: ['b64'] }
  const signed = await new FlattenedSign(await claims()).setProtectedHeader(unencoded).sign(issuerKey.privateKey)
  const { protected: header = '', signature } = signed
  await expectRefused([`${header}.${(await claims()).toString()}.${signature}`, `${header}..${signature}`])
})

it('C31 it is wrapped in an encryption that anybody can make', async () => {
  const key = await importJWK(issuerKey.publicJwk, 'ECDH-ES')
  const plain = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${(await claims()).toString('base64url')}.`
  const wrapped = [plain, await byStranger({})].map((inner) =>
    new CompactEncrypt(Buffer.from(inner))
      .setProtectedHeader({ alg: 'ECDH-ES', enc: 'A256GCM', cty: 'JWT', kid: issuerKey.kid, typ })
      .encrypt(key),
  )
  await expectRefused(await Promise.all(wrapped))
})

it('C31 the same claims by the key of the issuer are accepted', async () => {
  const header = { alg: issuerKey.alg, kid: issuerKey.kid, typ }
  expect(
    await present(await new CompactSign(await claims()).setProtectedHeader(header).sign(issuerKey.privateKey)),
  ).toBe(200)
  expect((await page.call('GET', '/oauth-agent/session')).json()['is_logged_in']).toBe(false)
})
