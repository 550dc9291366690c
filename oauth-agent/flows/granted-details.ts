import { TokenHandlerError } from '../../shared/errors.ts'
import { isJsonObject } from '../../shared/json-object.ts'
import { ProviderAnswerInvalid } from '../../shared/oauth/provider-error.ts'

/** One authorization detail as the settings ask for it. */
export type AuthorizationDetail = { readonly type: string } & Readonly<Record<string, unknown>>

/** Members whose values limit what a token may be used for (RFC 9396 §2.2). */
const limits = ['locations', 'actions', 'datatypes', 'identifier', 'privileges'] as const

/**
 * Compares the granted details with those asked for (RFC 9396 §7).
 *
 * A server may enrich a detail, never widen it. Throws ProviderAnswerInvalid for an answer without details or with
 * more than was asked for, and `access_denied` when the user left something out that the app cannot do without.
 */
export function checkGrantedDetails(granted: unknown, asked: readonly AuthorizationDetail[]): void {
  if (asked.length === 0) return
  const details = parseDetails(granted, asked)
  for (const wanted of asked) {
    if (details.some(({ type }) => type === wanted.type)) continue
    throw new TokenHandlerError('access_denied', { detail: { check: 'authorization_details' } })
  }
}

/**
 * Compares the details that come with a refresh with those asked for at the sign-in.
 *
 * They may be absent, and be fewer than before, but no token for more takes the place of the present one. Throws
 * ProviderAnswerInvalid.
 */
export function checkRenewedDetails(granted: unknown, asked: readonly AuthorizationDetail[]): void {
  if (asked.length > 0 && granted !== undefined) parseDetails(granted, asked)
}

type GrantedDetail = Readonly<Record<string, unknown>>

/** Throws ProviderAnswerInvalid for what is no list, or has a detail that nothing asked for covers. */
function parseDetails(granted: unknown, asked: readonly AuthorizationDetail[]): readonly GrantedDetail[] {
  if (!Array.isArray(granted)) throw new ProviderAnswerInvalid('token', 'authorization_details')
  return granted.map((detail: unknown) => {
    if (isJsonObject(detail) && asked.some((wanted) => isCoveredBy(detail, wanted))) return detail
    throw new ProviderAnswerInvalid('token', 'authorization_details')
  })
}

function isCoveredBy(granted: GrantedDetail, wanted: AuthorizationDetail): boolean {
  return granted['type'] === wanted.type && limits.every((name) => isWithinLimit(granted[name], wanted[name]))
}

/** A limit that was asked for and is missing in the answer no longer limits anything. */
function isWithinLimit(granted: unknown, wanted: unknown): boolean {
  if (wanted === undefined) return true
  if (!Array.isArray(wanted)) return granted === wanted
  return Array.isArray(granted) && granted.every((value) => wanted.includes(value))
}
