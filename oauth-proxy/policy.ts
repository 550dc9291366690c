import type { AccessContent } from '../shared/cookies/session.ts'
import type { Route } from '../shared/config/schema.ts'
import { TokenHandlerError } from '../shared/errors.ts'
import { jwtClaims } from './jwt-claims.ts'

/** The `require` section of a route. */
export type Requirement = Route['require']

/**
 * Checks what the route demands of a session.
 *
 * Throws `insufficient_user_authentication` with what a new sign-in has to ask for (RFC 9470 §3), `insufficient_scope`
 * with the scope it takes (RFC 6750 §3.1), or `access_denied_by_policy`, which no sign-in can cure.
 */
export function checkPolicy(session: AccessContent | undefined, require: Requirement, nowSeconds: number): void {
  if (demandsNothing(require)) return
  // A visitor meets no requirement, whatever the route says about visitors.
  if (session === undefined) throw new TokenHandlerError('session_missing', { detail: { check: 'policy' } })
  checkAuthentication(session, require, nowSeconds)
  checkScope(session, require.scope)
  if (Object.keys(require.claims).length > 0) checkClaims(session, require.claims)
}

/** True for a route that lets every session through. */
export function demandsNothing({ scope, acr, maxAge, claims }: Requirement): boolean {
  return scope.length === 0 && acr.length === 0 && maxAge === undefined && Object.keys(claims).length === 0
}

function checkAuthentication(session: AccessContent, { acr, maxAge }: Requirement, nowSeconds: number): void {
  const weak = acr.length > 0 && (session.acr === undefined || !acr.includes(session.acr))
  const stale = maxAge !== undefined && (session.authTime === undefined || nowSeconds - session.authTime > maxAge)
  if (!weak && !stale) return
  throw new TokenHandlerError('insufficient_user_authentication', {
    fields: {
      ...(acr.length === 0 ? undefined : { acr_values: acr.join(' ') }),
      ...(maxAge === undefined ? undefined : { max_age: maxAge }),
    },
    detail: { check: weak ? 'acr' : 'max_age' },
  })
}

function checkScope(session: AccessContent, required: readonly string[]): void {
  if (required.length === 0) return
  const granted = session.scope.split(' ')
  const missing = required.filter((scope) => !granted.includes(scope))
  if (missing.length === 0) return
  throw new TokenHandlerError('insufficient_scope', {
    fields: { scope: required.join(' ') },
    detail: { check: 'scope' },
  })
}

function checkClaims(session: AccessContent, required: Requirement['claims']): void {
  const claims = jwtClaims(session.accessToken)
  for (const [name, rule] of Object.entries(required)) {
    const value = claims !== undefined && Object.hasOwn(claims, name) ? claims[name] : undefined
    if (!satisfies(value, rule)) throw new TokenHandlerError('access_denied_by_policy', { detail: { check: 'claims' } })
  }
}

/** A list in the rule means "one of these"; a list in the token means "has all of its members". */
function satisfies(value: unknown, rule: Requirement['claims'][string]): boolean {
  const held: readonly unknown[] = Array.isArray(value) ? value : [value]
  return Array.isArray(rule) ? rule.some((allowed) => held.includes(allowed)) : held.includes(rule)
}
