import { expect, it } from 'vitest'
import type { Finding } from '../../bin/doctor/finding.ts'
import { signInChecks } from '../../bin/doctor/sign-in-checks.ts'
import { systemClock } from '../../shared/clock.ts'
import { createAuthorizationServer } from '../../shared/oauth/authorization-server.ts'
import { parse, settingsFile, type Tree } from '../shared/config/settings.ts'

const issuer = 'https://login.example.com'
const always = { authorization_server: { issuer, require_issuer_in_response: 'always' } }

/** What the doctor says of a server that promises `iss` or not, and answers a silent sign-in of nobody like this. */
async function findingsOf(promised: boolean, iss: string | undefined, settings: Tree): Promise<Finding[]> {
  const config = parse(settingsFile({ authorization_server: { issuer }, ...settings }))
  const location = `${config.publicOrigin}/callback?${new URLSearchParams({ error: 'login_required', ...(iss === undefined ? {} : { iss }) }).toString()}`
  const server = createAuthorizationServer({
    config,
    clock: systemClock,
    observe: { emit: () => undefined },
    transport: {
      async call(endpoint) {
        if (endpoint === 'authorization') return new Response(null, { status: 302, headers: { location } })
        return Response.json({
          issuer,
          authorization_endpoint: `${issuer}/auth`,
          token_endpoint: `${issuer}/token`,
          jwks_uri: `${issuer}/jwks`,
          authorization_response_iss_parameter_supported: promised,
        })
      },
      close: () => Promise.resolve(),
    },
  })
  const findings: Finding[] = []
  for await (const finding of signInChecks(config, server, systemClock)) findings.push(finding)
  return findings
}

it.each<[string, boolean, string | undefined, Tree, Finding['level'], string]>([
  ['keeps the promise', true, issuer, {}, 'ok', 'sign-ins return'],
  ['promised nothing', false, undefined, {}, 'ok', 'sign-ins return'],
  ['breaks the promise, as Canaille does', true, undefined, {}, 'warning', 'without the iss'],
  ['calls itself by another name', true, 'http://login.example.com', {}, 'error', 'as those of another issuer'],
  ['promised nothing, and calls itself by another name', false, `${issuer}/`, {}, 'error', 'of another issuer'],
  ['is believed on the settings alone', false, undefined, always, 'warning', 'without the iss'],
])('a refusal of a server that %s, as the agent would judge it', async (_, promised, iss, settings, level, words) => {
  expect(await findingsOf(promised, iss, settings)).toMatchObject([
    { check: 'client.redirect_uri', level, found: expect.stringContaining(words) as string },
  ])
})
