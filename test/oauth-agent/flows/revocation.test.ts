import { expect, it } from 'vitest'
import { revokeTokens } from '../../../oauth-agent/flows/revocation.ts'
import { createAuthorizationServer } from '../../../shared/oauth/authorization-server.ts'
import type { CallOptions, Transport } from '../../../shared/oauth/transport.ts'
import { createManualClock } from '../../support/manual-clock.ts'
import { parse, settingsFile } from '../../shared/config/settings.ts'

const issuer = 'https://login.example.com'
const metadata = {
  issuer,
  authorization_endpoint: `${issuer}/authorize`,
  token_endpoint: `${issuer}/token`,
  jwks_uri: `${issuer}/jwks`,
  revocation_endpoint: `${issuer}/revocation`,
}

it('sends each token once, with its hint, and waits for each no longer than the settings say (X-4, LO-4)', async () => {
  const config = parse(settingsFile({ logout: { revocation_timeout_ms: 1234 } }))
  const sent: CallOptions[] = []
  const transport: Transport = {
    call(endpoint, _url, options) {
      if (endpoint === 'metadata') return Promise.resolve(Response.json(metadata))
      sent.push(options)
      return Promise.resolve(new Response(null, { status: 503 }))
    },
    close: () => Promise.resolve(),
  }
  const observe = { emit: () => {} }
  const authorizationServer = createAuthorizationServer({ config, clock: createManualClock(), observe, transport })
  const revocation = await revokeTokens({ config, authorizationServer }, { refreshToken: 'rt', accessToken: 'at' })
  expect(revocation.revoked).toBe(false)
  expect(sent.map(({ body, timeoutMs }) => [Object.fromEntries(new URLSearchParams(body)), timeoutMs])).toEqual([
    [{ token: 'rt', token_type_hint: 'refresh_token' }, 1234],
    [{ token: 'at', token_type_hint: 'access_token' }, 1234],
  ])
})
