import { expect, it } from 'vitest'
import { type EndSessionParts, logoutAtServer } from '../../../oauth-agent/flows/end-session.ts'
import { createManualClock } from '../../support/manual-clock.ts'
import { createAuthorizationServer } from '../../../shared/oauth/authorization-server.ts'
import { proxyConfig, publicOrigin } from '../../support/proxy-world.ts'

const pageOrigin = 'https://app.example.com'
const end_session_endpoint = 'https://login.example.com/end'

it.each<[string, string | undefined, string]>([
  ['the origin of the pages', pageOrigin, `${pageOrigin}/`],
  ['the public origin, where pages have none of their own', undefined, `${publicOrigin}/`],
])('a sign-out comes back to %s', async (_what, ofPages, returnPage) => {
  const { logout, ...config } = proxyConfig('    - { path: /, upstream: "https://api" }')
  const clock = createManualClock()
  const authorizationServer = createAuthorizationServer({ config, clock, observe: { emit: () => {} } })
  // Exactly what the type names, so that nothing else can be used.
  const used: EndSessionParts['config'] = { logout, publicOrigin, pageOrigin: ofPages }
  const metadata = {
    issuer: 'https://login.example.com',
    authorization_endpoint: 'https://login.example.com/authorize',
    token_endpoint: 'https://login.example.com/token',
    jwks_uri: 'https://login.example.com/jwks',
  }
  const parts = { config: used, authorizationServer }
  expect(logoutAtServer(metadata, undefined, parts)).toEqual({ logoutUrl: returnPage })
  const { logoutUrl } = logoutAtServer({ ...metadata, end_session_endpoint }, undefined, parts)
  expect(new URL(logoutUrl).searchParams.get('post_logout_redirect_uri')).toBe(returnPage)
  await authorizationServer.close()
})
