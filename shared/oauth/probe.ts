import * as oauth from 'oauth4webapi'
import type { AuthorizationServer } from './authorization-server.ts'
import { type Lifetimes, requestTokens, type TokenAnswer } from './token-endpoint.ts'

/**
 * Presents a refresh token outside any session, to learn how the authorization server treats this client.
 *
 * Throws as `requestTokens` does.
 */
export function presentRefreshToken(
  server: AuthorizationServer,
  lifetimes: Lifetimes,
  refreshToken: string,
): Promise<TokenAnswer> {
  return requestTokens(
    server,
    lifetimes,
    (as, options) => oauth.refreshTokenGrantRequest(as, server.client, server.authenticate, refreshToken, options),
    { prover: server.dpop?.current() },
  )
}

/**
 * Goes to a page of the authorization server as a browser without cookies would; `location` is empty where it sends
 * nobody on, `date` where it does not tell its time.
 *
 * Throws ProviderUnavailable and ProviderAnswerInvalid.
 */
export async function visit(
  server: AuthorizationServer,
  url: string,
): Promise<{ readonly status: number; readonly location: string; readonly date: string }> {
  const { [oauth.customFetch]: call } = server.callOptions('authorization')
  const { status, headers } = await call(url, { method: 'GET', headers: { accept: 'text/html' } })
  return { status, location: headers.get('location') ?? '', date: headers.get('date') ?? '' }
}
