import { expect, it } from 'vitest'
import { deliverRequest } from '../../../oauth-agent/flows/request-delivery.ts'
import { revokeTokens } from '../../../oauth-agent/flows/revocation.ts'
import { loadUserinfo } from '../../../oauth-agent/flows/userinfo.ts'
import type { Config } from '../../../shared/config/schema.ts'
import { type AuthorizationServer, createAuthorizationServer } from '../../../shared/oauth/authorization-server.ts'
import type { Transport } from '../../../shared/oauth/transport.ts'
import { sessionCookies } from '../../support/installation.ts'
import { createManualClock } from '../../support/manual-clock.ts'
import { parse, settingsFile } from '../../shared/config/settings.ts'

const issuer = 'https://login.example.com'
const plain = issuer.replace('https:', 'http:')
const clock = createManualClock()
const metadata = {
  issuer,
  authorization_endpoint: `${issuer}/authorize`,
  token_endpoint: `${issuer}/token`,
  jwks_uri: `${issuer}/jwks`,
  userinfo_endpoint: `${plain}/userinfo`,
  revocation_endpoint: `${plain}/revocation`,
  pushed_authorization_request_endpoint: `${plain}/par`,
}

type Use = (parts: { config: Config; authorizationServer: AuthorizationServer }) => Promise<unknown>
const { access } = sessionCookies({ accessTokenExpiresAt: clock.nowSeconds() + 300 })
const uses: Readonly<Record<string, Use>> = {
  'no access token to userinfo': (parts) => loadUserinfo({ ...parts, clock }, { facts: access, access }),
  'no token for revocation': (parts) => revokeTokens(parts, { refreshToken: 'rt', accessToken: 'at' }),
  'no client secret and no request': (parts) => deliverRequest(parts, new URLSearchParams({ scope: 'openid' })),
}

it.each(Object.entries(uses))(
  '%s goes to an endpoint without TLS, whatever the metadata says (OID-13)',
  async (_, use) => {
    const config = parse(settingsFile())
    const asked: string[] = []
    const transport: Transport = {
      call(_endpoint, url) {
        asked.push(url)
        return Promise.resolve(Response.json(metadata))
      },
      close: () => Promise.resolve(),
    }
    const authorizationServer = createAuthorizationServer({ config, clock, observe: { emit: () => {} }, transport })
    await use({ config, authorizationServer }).catch(() => {})
    expect(asked).toEqual([`${issuer}/.well-known/openid-configuration`])
  },
)
