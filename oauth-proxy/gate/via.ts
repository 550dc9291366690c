import { TokenHandlerError } from '../../shared/errors.ts'

/** Says who we are in Via; meeting it on a request means that requests run in a circle (RFC 9110 §7.6.3). */
const viaName = 'token-handler'

/** Via for the API: what proxies before us said, and us. */
export function viaValue(via: string | undefined): string {
  return via === undefined ? `1.1 ${viaName}` : `${via}, 1.1 ${viaName}`
}

/** Throws `ambiguous_request` for a request that has been here before, as a route to ourselves makes it. */
export function checkNoLoop(via: string | undefined): void {
  if (via?.split(',').some((entry) => entry.trim().split(/\s+/)[1] === viaName) === true) {
    throw new TokenHandlerError('ambiguous_request', { detail: { check: 'loop' } })
  }
}
