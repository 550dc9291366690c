import { TokenHandlerError } from '../errors.ts'
import type { AccessContent } from './session.ts'

/**
 * What `keys` has for the key that an access token is bound to, such as its prover; undefined for a bearer token where the
 * settings bind none.
 *
 * Throws `access_token_expired` for a bearer token where they do, which is never sent, for a bound one where they do not, and
 * for one whose key the ring has lost: the next refresh brings one that fits.
 */
export function keyOfToken<Key>(
  { dpopKeyId }: Pick<AccessContent, 'dpopKeyId'>,
  keys: { find(keyId: string): Key | undefined } | undefined,
): Key | undefined {
  if (keys === undefined && dpopKeyId === undefined) return undefined
  const key = dpopKeyId === undefined ? undefined : keys?.find(dpopKeyId)
  if (key === undefined) throw new TokenHandlerError('access_token_expired', { detail: { check: 'dpop_key' } })
  return key
}
