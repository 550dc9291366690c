import { generateKeyPairSync } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { clientChecks, rotationChecks } from '../../bin/doctor/client-checks.ts'
import type { Finding } from '../../bin/doctor/finding.ts'
import { systemClock } from '../../shared/clock.ts'
import type { Config } from '../../shared/config/schema.ts'
import { type AuthorizationServer, createAuthorizationServer } from '../../shared/oauth/authorization-server.ts'
import { parse, settingsFile, type Tree } from '../shared/config/settings.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const folder = temporaryFolder()

const issuer = 'https://login.example.com'
const refused = { status: 400, body: { error: 'invalid_grant' } }
const tokens = (refreshToken?: string) => ({
  status: 200,
  body: {
    access_token: 'a',
    token_type: 'Bearer',
    ...(refreshToken === undefined ? {} : { refresh_token: refreshToken }),
  },
})

/** Without a body the answer is its status. */
type Answers = { status: number; body: object | undefined }[]

/** The settings, and a server that answers the token requests in this order. */
function world(answers: Answers, settings: Tree): { config: Config; server: AuthorizationServer } {
  const config = parse(settingsFile(settings), { readFile: (path) => readFileSync(path, 'utf8') })
  const json = (body: object, status = 200) =>
    new Response(JSON.stringify(body), { status, headers: { 'content-type': 'application/json' } })
  const server = createAuthorizationServer({
    config,
    clock: systemClock,
    observe: { emit: () => undefined },
    transport: {
      async call(endpoint) {
        if (endpoint === 'metadata') {
          const [authorization_endpoint, token_endpoint, jwks_uri] = [
            `${issuer}/auth`,
            `${issuer}/token`,
            `${issuer}/jwks`,
          ]
          return json({ issuer, authorization_endpoint, token_endpoint, jwks_uri })
        }
        const answer = answers.shift()
        if (answer === undefined) throw new Error('asked too often')
        return answer.body === undefined ? new Response(null, answer) : json(answer.body, answer.status)
      },
      close: () => Promise.resolve(),
    },
  })
  return { config, server }
}

/** What the doctor says of the rotation. */
async function findingOf(answers: Answers, settings: Tree = {}): Promise<Finding[]> {
  const { config, server } = world(answers, settings)
  const findings: Finding[] = []
  for await (const finding of rotationChecks(config, server, systemClock, 'first')) findings.push(finding)
  return findings
}

it.each<[string, { status: number; body: object }[], Finding['level'], string]>([
  ['none', [tokens()], 'ok', 'stay the same'],
  ['none, and the same token again', [tokens('first')], 'ok', 'stay the same'],
  ['with grace', [tokens('second'), tokens('third')], 'ok', 'works for a moment longer'],
  ['without grace', [tokens('second'), refused], 'warning', 'without grace'],
  ['with a token that is not accepted', [refused], 'error', 'not accepted'],
])('rotation: %s', async (_, answers, level, words) => {
  expect(await findingOf(answers)).toMatchObject([{ level, found: expect.stringContaining(words) as string }])
})

it('rotation without grace is no worry with a shared store', async () => {
  const store = { kind: 'valkey', url: 'rediss://valkey:6379' }
  expect(await findingOf([tokens('second'), refused], { store })).toMatchObject([{ level: 'ok' }])
})

const endOnInvalidRequest = { session: { end_on_invalid_request: true } }
it.each<[string, number, string | undefined, Tree, Finding['level'], string]>([
  ['as it should', 400, 'invalid_grant', {}, 'ok', ''],
  ['as Dex does', 400, 'invalid_request', {}, 'warning', 'session.end_on_invalid_request: true'],
  ['as Dex does, where the settings know', 400, 'invalid_request', endOnInvalidRequest, 'ok', ''],
  ['as Glewlwyd does', 400, undefined, {}, 'warning', 'session.end_on_invalid_request: true'],
  ['as Glewlwyd does, where the settings know', 400, undefined, endOnInvalidRequest, 'skipped', ''],
  ['as Keycloak does without TLS', 403, 'invalid_request', endOnInvalidRequest, 'warning', 'Look at its log'],
])('a refresh token made up just now is refused %s', async (_, status, error, settings, level, remedy) => {
  const { config, server } = world([{ status, body: error === undefined ? undefined : { error } }], settings)
  const finding = await clientChecks(config, server, systemClock)
  expect([finding.level, finding.remedy ?? '']).toEqual([level, expect.stringContaining(remedy)])
})

it.each([
  [true, true],
  [false, false],
])('a refused assertion with a type (%s) brings up the type', async (isTyped, isNamed) => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const client = {
    authentication: 'private_key_jwt',
    secret: undefined,
    private_key_file: folder.file('key.pem', privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()),
    typed_assertion: isTyped,
  }
  const { config, server } = world([{ status: 401, body: { error: 'invalid_client' } }], { client })
  const { level, remedy = '' } = await clientChecks(config, server, systemClock)
  expect([level, remedy.includes('client.typed_assertion: false')]).toEqual(['error', isNamed])
})

it.each([
  ['a+b/c=', true],
  ['a-secret_of.the*client', false],
])('a refused secret %s in Basic brings up the servers that do not decode: %s', async (secret, isNamed) => {
  const client = { authentication: 'client_secret_basic', secret }
  const { config, server } = world([{ status: 401, body: { error: 'invalid_client' } }], { client })
  const { level, remedy = '' } = await clientChecks(config, server, systemClock)
  expect([level, remedy.includes('client_secret_post')]).toEqual(['error', isNamed])
})
