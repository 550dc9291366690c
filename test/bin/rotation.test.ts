import { expect, it } from 'vitest'
import { rotationChecks } from '../../bin/doctor/client-checks.ts'
import type { Finding } from '../../bin/doctor/finding.ts'
import { systemClock } from '../../shared/clock.ts'
import { createAuthorizationServer } from '../../shared/oauth/authorization-server.ts'
import { parse, settingsFile } from '../shared/config/settings.ts'

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

/** What the doctor says of a server that answers the token requests in this order. */
async function findingOf(answers: { status: number; body: object }[], store?: object): Promise<Finding[]> {
  const config = parse(settingsFile(store === undefined ? {} : { store }))
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
        return json(answer.body, answer.status)
      },
      close: () => Promise.resolve(),
    },
  })
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
  expect(await findingOf([tokens('second'), refused], store)).toMatchObject([{ level: 'ok' }])
})
