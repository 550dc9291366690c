import { hash } from 'node:crypto'
import type { Clock } from '../../shared/clock.ts'
import type { CredentialSetting, Route } from '../../shared/config/schema.ts'
import { keyOfToken } from '../../shared/cookies/key-of-token.ts'
import type { AccessContent } from '../../shared/cookies/session.ts'
import type { DpopKey, DpopKeys } from '../../shared/crypto/dpop-keys.ts'
import { TokenHandlerError } from '../../shared/errors.ts'
import type { Observe } from '../../shared/observe/events.ts'
import { bearer, bound, type Credential, secretOf } from './credential.ts'
import { createTokenCache, type ObtainedToken } from './token-cache.ts'
import type { TokenRequests } from './token-request.ts'

/** The part of a route that says which credential its API gets. */
export type CredentialRoute = Pick<Route, 'path' | 'credential' | 'anonymous' | 'anonymousToken'>

/** The part of a session that credentials are made of. */
export type CredentialSession = Pick<AccessContent, 'accessToken' | 'accessTokenExpiresAt' | 'dpopKeyId'>

/** Gives each API call its credential; a call without a session is that of a visitor whom the route may let in. */
export interface Credentials {
  /**
   * The credential of this route for this session; undefined where the route wants none.
   *
   * Throws `session_missing`, `access_token_expired` for a token that cannot be proved, and `authorization_server_error`
   * for a token of the user that no header can hold. Where a token is asked for, also `token_exchange_failed`,
   * `authorization_server_unavailable`, `overloaded` or `client_authentication_failed`, and for an exchange
   * `login_required`, `consent_required` or `interaction_required`. None of them ends the session.
   */
  obtain(
    route: CredentialRoute,
    session: CredentialSession | undefined,
    requestId: string,
  ): Promise<Credential | undefined>
  /** The API refused what `obtain` gave (`invalid_token`, RFC 6750 §3.1): it is not given again. */
  refused(route: CredentialRoute, session: CredentialSession | undefined, credential: Credential | undefined): void
}

/** Most tokens kept at one time. */
const maxTokens = 10_000

type Setting<K extends CredentialSetting['kind']> = Extract<CredentialSetting, { kind: K }>

/** A token that is asked for, and the name under which it is kept. */
interface TokenPlan {
  readonly key: string
  /** What it will be bound to; undefined for a bearer token. Throws `access_token_expired` for a session without its key. */
  readonly boundTo: () => DpopKey | undefined
  readonly load: () => Promise<ObtainedToken>
}

/** What the setting of a credential comes to: what is ready at once, or a token to be asked for. */
type CredentialSource = TokenPlan | { readonly ready: Credential | undefined }

/** True for a route for which the authorization server is asked for tokens. */
export function asksForTokens({ credential, anonymous }: CredentialRoute): boolean {
  return (
    credential.kind === 'exchange' || credential.kind === 'client_credentials' || anonymous === 'client_credentials'
  )
}

/** What credentials are made of. */
export interface CredentialParts {
  /** May be undefined if no route asks for tokens. */
  readonly requests: TokenRequests | undefined
  /** Undefined where access tokens are bound to no key. */
  readonly dpop?: DpopKeys | undefined
  readonly clock: Clock
  readonly observe: Observe
}

/** Creates the credentials of all routes over one token cache. */
export function createCredentials({ requests, dpop, clock, observe }: CredentialParts): Credentials {
  const cache = createTokenCache({ clock, maxEntries: maxTokens })
  const sourceOf = createSources(requests, dpop)

  return {
    async obtain(route, session, requestId) {
      const setting = settingFor(route, session)
      const source = sourceOf(setting, session)
      if ('ready' in source) return source.ready
      const boundTo = source.boundTo()
      const facts = { request_id: requestId, route: route.path, credential: setting.kind }
      const kept = cache.find(source.key)
      try {
        const token = kept ?? (await cache.obtain(source.key, source.load))
        const credential = credentialOf(token, boundTo, 'token_exchange_failed')
        observe.emit('credential.obtained', { ...facts, cached: kept !== undefined, outcome: 'obtained' })
        return credential
      } catch (error) {
        const outcome = error instanceof TokenHandlerError ? error.code : 'server_error'
        observe.emit('credential.obtained', { ...facts, cached: false, outcome })
        throw error
      }
    },
    refused(route, session, credential) {
      const source = sourceOf(settingFor(route, session), session)
      if ('key' in source && credential !== undefined) cache.evict(source.key, secretOf(credential))
    },
  }
}

/** Makes the one table of kinds: what each gives at once, or how its token is obtained. */
function createSources(
  requests: TokenRequests | undefined,
  dpop: DpopKeys | undefined,
): (setting: CredentialSetting, session: CredentialSession | undefined) => CredentialSource {
  // An opened cookie is the same object for as long as it is remembered, so its header is made once.
  const userCredentials = new WeakMap<CredentialSession, Credential>()

  function userCredential(session: CredentialSession): Credential {
    const known = userCredentials.get(session)
    if (known !== undefined) return known
    const made = credentialOf(session.accessToken, keyOfToken(session, dpop), 'authorization_server_error')
    userCredentials.set(session, made)
    return made
  }

  function ask(): TokenRequests {
    if (requests === undefined) throw new RangeError('a route asks for tokens that nobody requests')
    return requests
  }

  const exchange = (
    { audience, resource, scope, requestedTokenType }: Setting<'exchange'>,
    session: CredentialSession,
  ): TokenPlan => {
    // Kept under the exact token it is made from, so that no user can meet the token of another (C05).
    const subject = hash('sha256', session.accessToken, 'base64url')
    return {
      key: JSON.stringify(['exchange', subject, audience, resource, scope, requestedTokenType]),
      boundTo: () => keyOfToken(session, dpop),
      load: async () => ask().exchange(session, { audience, resource, scope, requestedTokenType }),
    }
  }
  const clientCredentials = ({ audience, resource, scope }: Omit<Setting<'client_credentials'>, 'kind'>): TokenPlan => {
    const boundTo = dpop?.current()
    return {
      // Of a key that is no longer the one in force nothing is asked any more.
      key: JSON.stringify(['client_credentials', audience, resource, scope, boundTo?.keyId]),
      boundTo: () => boundTo,
      load: async () => ask().clientCredentials({ audience, resource, scope }, boundTo?.keyId),
    }
  }

  return (setting, session) => {
    switch (setting.kind) {
      case 'user':
        return { ready: userCredential(present(session)) }
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
}

/** What a caller gets: the credential of the route, or what a visitor without a session gets there. */
function settingFor(route: CredentialRoute, session: CredentialSession | undefined): CredentialSetting {
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

function present(session: CredentialSession | undefined): CredentialSession {
  if (session === undefined) throw new TokenHandlerError('session_missing')
  return session
}

/** A token that cannot stand in a header is an error, never a request without its credential (H12). */
function credentialOf(
  token: string,
  key: DpopKey | undefined,
  code: 'authorization_server_error' | 'token_exchange_failed',
): Credential {
  const credential = key === undefined ? bearer(token) : bound(token, key)
  if (credential === undefined) throw new TokenHandlerError(code, { detail: { check: 'access_token' } })
  return credential
}
