import type { AccessContent } from '../shared/cookies/session.ts'
import { TokenHandlerError } from '../shared/errors.ts'

/** What a gateway may tell the API about the user, in the order of the reference. */
export const identityHeaderNames = ['x-auth-subject', 'x-auth-scope', 'x-auth-acr', 'x-auth-time'] as const

type IdentityHeaders = Readonly<Record<(typeof identityHeaderNames)[number], string>>

/** Printable, without space at either end, which every reader would take off. */
const headerText = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/

/**
 * All identity headers, empty where nothing is known: a header that is left out would let the browser's own copy of it
 * through gateways that only overwrite (H04).
 *
 * Throws `authorization_server_error` for a fact that no header can hold, rather than send half an identity (H12).
 */
export function identityHeaders(
  session: Pick<AccessContent, 'subject' | 'scope' | 'acr' | 'authTime'> | undefined,
): IdentityHeaders {
  const headers = {
    'x-auth-subject': session?.subject ?? '',
    'x-auth-scope': session?.scope ?? '',
    'x-auth-acr': session?.acr ?? '',
    'x-auth-time': session?.authTime === undefined ? '' : String(session.authTime),
  }
  for (const name of identityHeaderNames) {
    if (headers[name] !== '' && !headerText.test(headers[name])) {
      throw new TokenHandlerError('authorization_server_error', { detail: { check: name } })
    }
  }
  return headers
}
