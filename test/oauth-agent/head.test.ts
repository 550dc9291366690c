import { generateKeyPairSync } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { endpoints, type Row } from '../../oauth-agent/endpoints.ts'
import { fromServer, type Page, type PageAnswer } from '../support/page.ts'
import { type ScriptedWorld, startScriptedWorld } from '../support/scripted-authorization-server.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const keyFile = temporaryFolder().file('key.pem', privateKey.export({ type: 'pkcs8', format: 'pem' }).toString())

const queries = [
  '',
  '?return_to=/orders&prompt=login',
  '?return_to=//evil.example',
  '?return_to=/a&return_to=/b',
  '?code=abc&state=def',
  '?error=access_denied&state=def',
]

/** What an answer says, less its body, what describes the body, and what is new with each answer. */
function meaning({ status, headers }: PageAnswer) {
  const { 'set-cookie': lines, location, ...rest } = headers
  for (const name of ['date', 'x-request-id', 'content-length', 'content-type']) delete rest[name]
  const [place = '', query = ''] = location?.split('?') ?? []
  const cookies = (lines ?? []).map((line) => line.replace(/^(.*-login)?[^=]*=[^;]+/, '$1'))
  return { status, rest, place, asked: [...new URLSearchParams(query).keys()], cookies }
}

function call(page: Page, method: string, { caller, path }: Row, query: string): Promise<PageAnswer> {
  const target = `/oauth-agent${path}${query}`
  if (caller === 'page') return page.call(method, target)
  if (caller === 'server') return page.call(method, target, { headers: fromServer })
  // A helper of browsers, which give an origin with whatever is no GET.
  return page.navigate(method, target, { headers: { origin: '' } })
}

describe.each(['query', 'form_post'])(
  'HEAD says what GET says, where responses come by %s (RFC 9110 §9.3.2)',
  (mode) => {
    let world: ScriptedWorld
    beforeAll(async () => {
      world = await startScriptedWorld({
        client: `  authentication: private_key_jwt\n  private_key_file: ${keyFile}`,
        settings: `agent: { rate_limits: { login: { requests: 9999 } } }\nlogin: { navigation: { enabled: true, response_mode: ${mode} } }`,
      })
    })
    afterAll(() => world.close())

    it.each(
      endpoints.flatMap((row) =>
        row.method === 'GET' ? queries.map((query): [string, string, Row] => [row.path, query, row]) : [],
      ),
    )('%s%s', async (_path, query, row) => {
      for (const signedIn of [false, true]) {
        const [one, other] = [world.browser(), world.browser()]
        if (signedIn) await Promise.all([world.signIn(one), world.signIn(other)])
        const head = await call(one, 'HEAD', row, query)
        const get = await call(other, 'GET', row, query)
        expect(meaning(head)).toEqual(meaning(get))
        expect(head.text).toBe('')
        expect(one.jar.names('localhost').length).toBe(other.jar.names('localhost').length)
      }
    })
  },
)
