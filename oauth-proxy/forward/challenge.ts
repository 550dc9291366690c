import type { CredentialSetting } from '../../shared/config/schema.ts'
import { TokenHandlerError } from '../../shared/errors.ts'
import { type UpstreamFields, combinedValue, holdsCredential } from './response-headers.ts'

/** A scope token (RFC 6749 §3.3); names of authentication contexts are held to the same. */
const word = /^[\x21\x23-\x5b\x5d-\x7e]{1,128}$/

/**
 * The refusal by an API as an error of ours, or undefined for an answer that is the API's own business.
 *
 * A challenge speaks to whoever holds the token, which is us; the page gets what it can act on as checked JSON members,
 * never the challenge itself (RFC 6750 §3.1, RFC 9470 §3; HX-33), and no member in which the API repeats the credential
 * that it was sent: a short token has the form of a scope (HX-24). A user can neither refresh nor step up what the
 * operator has set for all (`sent`), so the page then gets `upstream_credential_refused`.
 */
export function upstreamRefusal(
  status: number,
  fields: UpstreamFields,
  credential: string | undefined,
  sent: CredentialSetting['kind'],
): TokenHandlerError | undefined {
  if (status !== 401 && status !== 403) return undefined
  const challenge = findChallenge(combinedValue(fields['www-authenticate']), tokenSchemes)
  const error = challenge?.get('error')
  if (challenge !== undefined && (error === 'insufficient_user_authentication' || error === 'insufficient_scope')) {
    if (sent === 'api_key' || sent === 'client_credentials') return credentialRefused()
    const members = error === 'insufficient_scope' ? scopeOf(challenge, credential) : stepUp(challenge, credential)
    return new TokenHandlerError(error, { fields: members, detail: fromApi })
  }
  if (status !== 401) return undefined
  // Another token of the application may be taken, since this one is not given again.
  return sent === 'api_key' ? credentialRefused() : new TokenHandlerError('upstream_unauthorized', { detail: fromApi })
}

/**
 * What an API has against a proof: `use_dpop_nonce` where it lacks the present nonce (RFC 9449 §9), `invalid_dpop_proof`
 * where it is wrong (§7.1), for which some say 400 as authorization servers do; undefined for anything else.
 */
export function proofRefusal(status: number, fields: UpstreamFields): ProofRefusal | undefined {
  if (status !== 401 && status !== 400) return undefined
  const error = findChallenge(combinedValue(fields['www-authenticate']), /^dpop$/i)?.get('error')
  if (error === 'invalid_dpop_proof') return error
  return status === 401 && error === 'use_dpop_nonce' ? error : undefined
}

type ProofRefusal = 'use_dpop_nonce' | 'invalid_dpop_proof'

const fromApi = { check: 'upstream' }

function credentialRefused(): TokenHandlerError {
  return new TokenHandlerError('upstream_credential_refused', { detail: fromApi })
}

type Challenge = ReadonlyMap<string, string>

function stepUp(
  challenge: Challenge,
  credential: string | undefined,
): { acr_values?: string; max_age?: number; scope?: string } {
  const acrValues = words(challenge.get('acr_values'), credential)
  const maxAge = words(challenge.get('max_age'), credential)
  return {
    ...(acrValues === undefined ? undefined : { acr_values: acrValues }),
    ...(maxAge === undefined || !/^[0-9]{1,9}$/.test(maxAge) ? undefined : { max_age: Number(maxAge) }),
    ...scopeOf(challenge, credential),
  }
}

function scopeOf(challenge: Challenge, credential: string | undefined): { scope?: string } {
  const scope = words(challenge.get('scope'), credential)
  return scope === undefined ? {} : { scope }
}

/** At most sixteen words, none of which holds the credential; anything else is as if it had not been said. */
function words(text: string | undefined, credential: string | undefined): string | undefined {
  if (holdsCredential(text, credential)) return undefined
  const list = text?.split(' ').filter((each) => each !== '') ?? []
  return list.length > 0 && list.length <= 16 && list.every((each) => word.test(each)) ? list.join(' ') : undefined
}

/** RFC 9110 §11.6.1: token68 challenges and other schemes may stand before and after, so parameters are read in turn. */
const schemeOrParameter =
  /[\t ]*(?:,[\t ]*)*(?:([!#$%&'*+.^_`|~0-9A-Za-z-]+)[\t ]*=[\t ]*(?:"((?:[^"\\]|\\.)*)"|([!#$%&'*+.^_`|~0-9A-Za-z-]+))|([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?=[\t ]|,|$)|[A-Za-z0-9._~+/-]+=+(?=[\t ]*(?:,|$)))/y

const tokenSchemes = /^(?:bearer|dpop)$/i

/** The parameters of the first challenge of these schemes that names an error, or undefined. */
function findChallenge(header: string | undefined, schemes: RegExp): Challenge | undefined {
  if (header === undefined || header.length > 4096) return undefined
  let current: Map<string, string> | undefined
  schemeOrParameter.lastIndex = 0
  for (let match = schemeOrParameter.exec(header); match !== null; match = schemeOrParameter.exec(header)) {
    const [, name, quoted, plain, scheme] = match
    if (scheme !== undefined) {
      if (current?.has('error') === true) return current
      current = schemes.test(scheme) ? new Map() : undefined
    } else if (name !== undefined && current !== undefined && !current.has(name.toLowerCase())) {
      current.set(name.toLowerCase(), quoted?.replace(/\\(.)/g, '$1') ?? plain ?? '')
    }
  }
  return current
}
