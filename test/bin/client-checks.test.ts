import { generateKeyPairSync } from 'node:crypto'
import { afterEach, expect, it } from 'vitest'
import { clientChecks, rotationChecks } from '../../bin/doctor/client-checks.ts'
import type { Finding } from '../../bin/doctor/finding.ts'
import type { Mode } from '../../bin/parts.ts'
import { systemClock } from '../../shared/clock.ts'
import type { Tree } from '../shared/config/settings.ts'
import { allOf, type CheckedServer, startCheckedServer } from '../support/checked-server.ts'
import { createManualClock } from '../support/manual-clock.ts'
import type { Reply } from '../support/scripted-authorization-server.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const folder = temporaryFolder()

let checked: CheckedServer
afterEach(() => checked.close())

const refused = { status: 400, body: { error: 'invalid_grant' } }
const tokens = (refreshToken?: string, more: object = {}) => ({
  status: 200,
  body: {
    access_token: 'a',
    token_type: 'Bearer',
    ...(refreshToken === undefined ? {} : { refresh_token: refreshToken }),
    ...more,
  },
})

/** What a check finds at a server that gives these answers to its token requests and is asked for no other. */
async function findingsOf<T>(
  answers: Reply[],
  settings: Tree,
  check: (parts: CheckedServer) => Promise<T>,
): Promise<T> {
  checked = await startCheckedServer(settings)
  const { scripted } = checked
  const left = [...answers]
  scripted.script.token = () => left.shift() ?? 'reset'
  const found = await check(checked)
  expect(scripted.count('token')).toBe(answers.length)
  return found
}

const endOnInvalidRequest = { session: { end_on_invalid_request: true } }

const rotationOf = (answers: Reply[], settings: Tree = {}) =>
  findingsOf(answers, settings, ({ config, server }) => allOf(rotationChecks(config, server, systemClock, 'first')))

const clientOf = (answer: Reply, settings: Tree) =>
  findingsOf([answer], settings, ({ config, server }) => clientChecks(config, server, systemClock))

it.each<[string, Reply[], Finding['level'], string]>([
  ['none', [tokens()], 'ok', 'stay the same'],
  ['none, and the same token again', [tokens('first')], 'ok', 'stay the same'],
  ['with grace', [tokens('second'), tokens('third')], 'ok', 'works for a moment longer'],
  ['without grace', [tokens('second'), refused], 'warning', 'without grace'],
  ['with a token that is not accepted', [refused], 'error', 'not accepted'],
  ...(
    [
      [{ status: 429, body: '' }, 'rate_limited'],
      [{ status: 503, body: '' }, 'gateway_error'],
      [{ status: 401, body: { error: 'invalid_client' } }, 'invalid_client, 401'],
      [{ status: 200, body: [] }, 'came to nothing'],
    ] as const
  ).flatMap(([unclear, why]): [string, Reply[], Finding['level'], string][] => [
    [`that is not found out (${why})`, [unclear], 'skipped', why],
    [`of which grace is not found out (${why})`, [tokens('second'), unclear], 'skipped', why],
  ]),
])('rotation: %s', async (_, answers, level, words) => {
  expect(await rotationOf(answers)).toMatchObject([{ level, found: expect.stringContaining(words) as string }])
})

it('rotation without grace, of a server that says invalid_request', async () => {
  const invalid = { status: 400, body: { error: 'invalid_request' } }
  expect(await rotationOf([tokens('second'), invalid], endOnInvalidRequest)).toMatchObject([{ level: 'warning' }])
})

it('rotation without grace is no worry with a shared store', async () => {
  const store = { kind: 'valkey', url: 'rediss://valkey:6379' }
  expect(await rotationOf([tokens('second'), refused], { store })).toMatchObject([{ level: 'ok' }])
})

it.each<[unknown, string[]]>([
  [900, []],
  [901, ['access tokens live for 15 minutes']],
  ['86400', ['access tokens live for 1440 minutes']],
  [undefined, []],
])('BBA-26 access tokens that live for %j seconds', async (seconds, expected) => {
  const clock = createManualClock()
  const found = await findingsOf([tokens(undefined, { expires_in: seconds })], {}, ({ config, server }) =>
    allOf(rotationChecks(config, server, clock, 'first')),
  )
  const said = found.filter(({ check }) => check === 'provider.access_token')
  expect(said.map(({ level, found: words }) => [level, words.split(',')[0]])).toEqual(
    expected.map((words) => ['warning', words]),
  )
})

it.each<[string, number, string | undefined, Tree, Finding['level'], string]>([
  ['as it should', 400, 'invalid_grant', {}, 'ok', ''],
  ['as Dex does', 400, 'invalid_request', {}, 'warning', 'session.end_on_invalid_request: true'],
  ['as Dex does, where the settings know', 400, 'invalid_request', endOnInvalidRequest, 'ok', ''],
  ['as Glewlwyd does', 400, undefined, {}, 'warning', 'session.end_on_invalid_request: true'],
  ['as Glewlwyd does, where the settings know', 400, undefined, endOnInvalidRequest, 'skipped', ''],
  ['as Keycloak does without TLS', 403, 'invalid_request', endOnInvalidRequest, 'warning', 'Look at its log'],
])('a refresh token made up just now is refused %s', async (_, status, error, settings, level, remedy) => {
  // Nothing is of no type that could be read.
  const nothing = { headers: { 'content-type': 'text/plain' }, body: '' }
  const finding = await clientOf({ status, ...(error === undefined ? nothing : { body: { error } }) }, settings)
  expect([finding.level, finding.remedy ?? '']).toEqual([level, expect.stringContaining(remedy)])
})

it.each<[string, Mode | undefined, Finding['level']]>([
  ['unauthorized_client', undefined, 'error'],
  ['unauthorized_client', 'agent', 'error'],
  ['unauthorized_client', 'proxy', 'ok'],
  ['unsupported_grant_type', 'proxy', 'ok'],
  ['invalid_client', 'proxy', 'error'],
])('a client of which the server says %s, for %s', async (error, mode, level) => {
  const answer = { status: 400, body: { error } }
  const finding = await findingsOf([answer], {}, ({ config, server }) =>
    clientChecks(config, server, systemClock, mode),
  )
  expect(finding.level).toBe(level)
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
  const { level, remedy = '' } = await clientOf({ status: 401, body: { error: 'invalid_client' } }, { client })
  expect([level, remedy.includes('client.typed_assertion: false')]).toEqual(['error', isNamed])
})

it.each([
  ['a+b/c=', true],
  ['a-secret_of.the*client', false],
])('a refused secret %s in Basic brings up the servers that do not decode: %s', async (secret, isNamed) => {
  const client = { authentication: 'client_secret_basic', secret }
  const { level, remedy = '' } = await clientOf({ status: 401, body: { error: 'invalid_client' } }, { client })
  expect([level, remedy.includes('client_secret_post')]).toEqual(['error', isNamed])
})
