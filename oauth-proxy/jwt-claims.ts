import { isJsonObject } from '../shared/json-object.ts'

/**
 * The claims of a JWT access token, or undefined when the token is none.
 *
 * The signature is not checked: the token came from the authorization server over TLS and has been under our seal since,
 * so nobody else had a hand in it. The API checks it again.
 */
export function jwtClaims(token: string): Readonly<Record<string, unknown>> | undefined {
  const segments = token.split('.')
  if (segments.length !== 3) return undefined
  try {
    const claims: unknown = JSON.parse(Buffer.from(segments[1] ?? '', 'base64url').toString('utf8'))
    return isJsonObject(claims) ? claims : undefined
  } catch {
    return undefined
  }
}
