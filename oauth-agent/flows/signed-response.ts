import { decodeJwt } from 'jose'
import { TokenHandlerError } from '../../shared/errors.ts'
import type { Parameters } from './parameters.ts'
import { type ProviderJwtParts, verifyProviderJwt } from './provider-jwt.ts'

/** Parameters of an authorization response that we read; a page may have others of its own in its query. */
const responseParameters = ['code', 'state', 'iss', 'error'] as const

/** How a response came: by the page of a SPA, which read its own query, or by a navigation to our callback. */
export type ArrivedBy = 'page' | 'query' | 'form_post'

/**
 * The `state` of an authorization response before any check: good for nothing but to find the attempt it belongs to.
 */
export function peekState(parameters: Parameters): string {
  const response = parameters.get('response')
  if (response === undefined) return parameters.get('state') ?? ''
  try {
    const { state } = decodeJwt(response)
    return typeof state === 'string' ? state : ''
  } catch {
    return ''
  }
}

/**
 * The parameters of an authorization response in the form that was asked for.
 *
 * A plain answer to a request for a signed one is refused, as is the reverse: whoever could choose would choose the
 * weaker. Throws `authorization_response_invalid`, and what the key set throws.
 */
export async function readAuthorizationResponse(
  parts: ProviderJwtParts,
  { parameters, arrivedBy }: { readonly parameters: Parameters; readonly arrivedBy: ArrivedBy },
  responseMode: string | undefined,
): Promise<Parameters> {
  const response = parameters.get('response')
  if ((response !== undefined) !== (responseMode === 'jwt')) throw invalid('response_mode')
  if ((arrivedBy === 'form_post') !== (responseMode === 'form_post')) throw invalid('response_mode')
  if (response === undefined) return pick((name) => parameters.get(name))
  // JWT Secured Authorization Response Mode §2.4: issuer, audience, expiry and signature, in one go.
  const { payload } = await verifyProviderJwt(parts, response, { requiredClaims: ['exp'] }, invalid)
  // One audience only: a response that is also meant for somebody else may come from there.
  if (Array.isArray(payload.aud) && payload.aud.length !== 1) throw invalid('aud')
  return pick((name) => payload[name])
}

function pick(valueOf: (name: string) => unknown): Parameters {
  return new Map(
    responseParameters.flatMap((name): [string, string][] => {
      const value = valueOf(name)
      return typeof value === 'string' ? [[name, value]] : []
    }),
  )
}

function invalid(check: string, cause?: unknown): TokenHandlerError {
  return new TokenHandlerError('authorization_response_invalid', { detail: { check }, cause })
}
