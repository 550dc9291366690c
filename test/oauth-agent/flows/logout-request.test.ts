import { afterAll, expect, it } from 'vitest'
import { logoutRequest, type LogoutRequestParts } from '../../../oauth-agent/flows/logout-request.ts'
import { createManualClock } from '../../support/manual-clock.ts'
import { createAuthorizationServer } from '../../../shared/oauth/authorization-server.ts'
import { proxyConfig, publicOrigin } from '../../support/proxy-world.ts'

const pageOrigin = 'https://app.example.com'
const end_session_endpoint = 'https://login.example.com/end'

const metadata = {
  issuer: 'https://login.example.com',
  authorization_endpoint: 'https://login.example.com/authorize',
  token_endpoint: 'https://login.example.com/token',
  jwks_uri: 'https://login.example.com/jwks',
}
const { logout, ...config } = proxyConfig('    - { path: /, upstream: "https://api" }')
const clock = createManualClock()
const authorizationServer = createAuthorizationServer({ config, clock, observe: { emit: () => {} } })
afterAll(() => authorizationServer.close())

/** Exactly what the type names, so that nothing else can be used. */
function partsWith(change: Partial<LogoutRequestParts['config']>) {
  const used: LogoutRequestParts['config'] = { logout, publicOrigin, insecureAllowHttp: false, ...change }
  return { config: used, authorizationServer }
}

it.each<[string, Partial<LogoutRequestParts['config']>, string]>([
  ['the origin of the pages', { pageOrigin }, `${pageOrigin}/`],
  ['the public origin, where pages have none of their own', {}, `${publicOrigin}/`],
])('a sign-out comes back to %s', (_what, change, returnPage) => {
  const parts = partsWith(change)
  expect(logoutRequest(metadata, undefined, parts)).toEqual({ logoutUrl: returnPage })
  const { logoutUrl } = logoutRequest({ ...metadata, end_session_endpoint }, undefined, parts)
  expect(new URL(logoutUrl).searchParams.get('post_logout_redirect_uri')).toBe(returnPage)
})

it.each([{ toString: 1 }, ['https://login.example.com/end'], 7, null])(
  'a sign-out goes nowhere for metadata with %j as the place',
  (place) => {
    const found = { ...metadata, end_session_endpoint: place as unknown as string }
    expect(logoutRequest(found, undefined, partsWith({}))).toEqual({ logoutUrl: `${publicOrigin}/` })
  },
)

it.each([
  ['no plain HTTP, over which anybody could read its ID token', false, `${publicOrigin}/`],
  ['plain HTTP where the settings allow it', true, 'http://login.example.com/end'],
])('a sign-out takes %s', (_what, insecureAllowHttp, place) => {
  const found = { ...metadata, end_session_endpoint: 'http://login.example.com/end' }
  const { logoutUrl } = logoutRequest(found, undefined, partsWith({ insecureAllowHttp }))
  expect(logoutUrl.split('?', 1)).toEqual([place])
})
