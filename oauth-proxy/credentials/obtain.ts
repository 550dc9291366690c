import type { AccessContent } from '../../shared/cookies/session.ts'
import type { CredentialSetting, Route } from '../../shared/config/schema.ts'
import { TokenHandlerError } from '../../shared/errors.ts'
import { type Credential, bearer } from './credential.ts'

/** Finds the credential for one call; `undefined` session means a visitor whom the route lets in. */
export type ObtainCredential = (
  route: Pick<Route, 'credential' | 'anonymous'>,
  session: AccessContent | undefined,
  requestId: string,
) => Credential | Promise<Credential>

/** One kind of credential: from its setting and the session to a header. */
export type CredentialKind<K extends CredentialSetting['kind']> = (
  setting: Extract<CredentialSetting, { kind: K }>,
  session: AccessContent | undefined,
  requestId: string,
) => Credential | Promise<Credential>

/** The table of kinds; a kind that is not in it cannot be used. */
export type CredentialKinds = { readonly [K in CredentialSetting['kind']]?: CredentialKind<K> }

/** The kinds that need nobody else: the token in the cookie, and nothing at all. */
export const plainKinds = {
  user: (_setting, session) => userCredential(session),
  none: () => undefined,
} satisfies CredentialKinds

function userCredential(session: AccessContent | undefined): Credential {
  if (session === undefined) return undefined
  const credential = bearer(session.accessToken)
  if (credential === undefined)
    throw new TokenHandlerError('session_invalid', { detail: { check: 'token_characters' } })
  return credential
}

/** Picks the row for a call: the route's kind for a session, the route's word on visitors otherwise. */
export function createObtainCredential(kinds: CredentialKinds): ObtainCredential {
  return (route, session, requestId) => {
    if (session !== undefined) return obtain(kinds, route.credential, session, requestId)
    if (route.anonymous === 'none') return undefined
    if (route.anonymous === 'client_credentials') {
      return obtain(kinds, { kind: 'client_credentials' }, undefined, requestId)
    }
    throw new TokenHandlerError('session_missing')
  }
}

function obtain(
  kinds: CredentialKinds,
  setting: CredentialSetting,
  session: AccessContent | undefined,
  requestId: string,
): Credential | Promise<Credential> {
  switch (setting.kind) {
    case 'user':
      return row(kinds.user)(setting, session, requestId)
    case 'none':
      return row(kinds.none)(setting, session, requestId)
    case 'exchange':
      return row(kinds.exchange)(setting, session, requestId)
    case 'client_credentials':
      return row(kinds.client_credentials)(setting, session, requestId)
    case 'api_key':
      return row(kinds.api_key)(setting, session, requestId)
  }
}

function row<F>(kind: F | undefined): F {
  if (kind === undefined) throw new TokenHandlerError('server_error', { detail: { check: 'credential_kind' } })
  return kind
}
