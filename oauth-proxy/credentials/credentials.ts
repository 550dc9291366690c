import { hash } from 'node:crypto'
import type { Clock } from '../../shared/clock.ts'
import type { CredentialSetting, Route } from '../../shared/config/schema.ts'
import type { AccessContent } from '../../shared/cookies/session.ts'
import { TokenHandlerError } from '../../shared/errors.ts'
import type { AuthorizationServer } from '../../shared/oauth/authorization-server.ts'
import type { LifetimeSettings } from '../../shared/oauth/token-lifetime.ts'
import type { Observe } from '../../shared/observe/events.ts'
import { bearer, type Credential } from './credential.ts'
import { createTokenCache, type ObtainedToken } from './token-cache.ts'
import { createTokenRequests } from './token-request.ts'

/** The part of a route that says which credential its API gets. */
export type CredentialRoute = Pick<Route, 'path' | 'credential' | 'anonymous' | 'anonymousToken'>

type Session = Pick<AccessContent, 'accessToken' | 'accessTokenExpiresAt'>

/** For whom a credential is wanted. */
export interface Caller {
  /** The opened and checked session; undefined for a visitor who has none. */
  readonly session: Session | undefined
  readonly requestId: string
}

/** Gives each API call its credential. */
export interface Credentials {
  /**
   * The credential of this route for this caller.
   *
   * Throws `session_missing`, `token_exchange_failed`, `authorization_server_unavailable` or
   * `client_authentication_failed`; none of them ends the session.
   */
  obtain(route: CredentialRoute, caller: Caller): Credential | Promise<Credential>
  /** The API refused the credential that `obtain` gave for this caller (RFC 6750 §3.1 `invalid_token`): it is not given again. */
  refused(route: CredentialRoute, caller: Caller, credential: Credential): void
}

/** Most tokens kept at one time. */
const maxTokens = 10_000

type Setting<K extends CredentialSetting['kind']> = Extract<CredentialSetting, { kind: K }>

/** A token that is asked for, and the name under which it is kept. */
interface TokenPlan {
  readonly key: string
  readonly load: () => Promise<ObtainedToken>
}

/** Creates the credentials of all routes over one token cache. */
export function createCredentials(parts: {
  config: { readonly session: LifetimeSettings }
  authorizationServer: AuthorizationServer
  clock: Clock
  observe: Observe
}): Credentials {
  const { authorizationServer, clock, observe } = parts
  const requests = createTokenRequests({ authorizationServer, settings: parts.config.session, clock })
  const cache = createTokenCache({ clock, maxEntries: maxTokens })

  const exchange = (
    { audience, resource, scope, requestedTokenType }: Setting<'exchange'>,
    session: Session,
  ): TokenPlan => {
    // Kept under the exact token it is made from, so that no user can meet the token of another (C05).
    const subject = hash('sha256', session.accessToken, 'base64url')
    return {
      key: JSON.stringify(['exchange', subject, audience, resource, scope, requestedTokenType]),
      load: () => requests.exchange(session, { audience, resource, scope, requestedTokenType }),
    }
  }
  const clientCredentials = ({
    audience,
    resource,
    scope,
  }: Omit<Setting<'client_credentials'>, 'kind'>): TokenPlan => ({
    key: JSON.stringify(['client_credentials', audience, resource, scope]),
    load: () => requests.clientCredentials({ audience, resource, scope }),
  })

  /** The one table of kinds: what each gives at once, or how its token is obtained. */
  function sourceOf(
    setting: CredentialSetting,
    session: Session | undefined,
  ): TokenPlan | { readonly ready: Credential } {
    switch (setting.kind) {
      case 'user':
        return { ready: bearerOf(present(session).accessToken, 'authorization_server_error') }
      case 'exchange':
        return exchange(setting, present(session))
      case 'client_credentials':
        return clientCredentials(setting)
      case 'api_key':
        return { ready: { header: setting.header.toLowerCase(), value: `${setting.prefix}${setting.value.reveal()}` } }
      case 'none':
        return { ready: undefined }
    }
  }

  async function load(plan: TokenPlan, route: CredentialRoute, caller: Caller): Promise<Credential> {
    const told = { request_id: caller.requestId, route: route.path, credential: route.credential.kind, cached: false }
    try {
      const token = await cache.obtain(plan.key, plan.load)
      observe.emit('credential.obtained', { ...told, outcome: 'obtained' })
      return bearerOf(token, 'token_exchange_failed')
    } catch (error) {
      const outcome = error instanceof TokenHandlerError ? error.code : 'server_error'
      observe.emit('credential.obtained', { ...told, outcome })
      throw error
    }
  }

  return {
    obtain(route, caller) {
      const source = sourceOf(settingFor(route, caller.session), caller.session)
      if ('ready' in source) return source.ready
      const kept = cache.find(source.key)
      return kept === undefined ? load(source, route, caller) : bearerOf(kept, 'token_exchange_failed')
    },
    refused(route, { session }, credential) {
      const source = sourceOf(settingFor(route, session), session)
      if ('key' in source && credential !== undefined) cache.evict(source.key, credential.value.slice('Bearer '.length))
    },
  }
}

/** What a caller gets: the credential of the route, or what a visitor without a session gets there. */
function settingFor(route: CredentialRoute, session: Session | undefined): CredentialSetting {
  if (session !== undefined) return route.credential
  switch (route.anonymous) {
    case 'deny':
      throw new TokenHandlerError('session_missing')
    case 'client_credentials':
      return { kind: 'client_credentials', ...route.anonymousToken }
    case 'none':
      return { kind: 'none' }
  }
}

function present(session: Session | undefined): Session {
  if (session === undefined) throw new TokenHandlerError('session_missing')
  return session
}

/** A token that cannot stand in a header is an error, never a request without its credential (H12). */
function bearerOf(token: string, code: 'authorization_server_error' | 'token_exchange_failed'): Credential {
  const credential = bearer(token)
  if (credential === undefined) throw new TokenHandlerError(code, { detail: { check: 'access_token' } })
  return credential
}
