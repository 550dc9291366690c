import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { createLocalJWKSet, errors as joseErrors, type JSONWebKeySet, jwtVerify } from 'jose'

/** What the API learned from the credential of a call; shown in the example, so it never holds the credential itself. */
export interface Received {
  readonly credential: 'none' | 'api key' | 'access token of the user' | 'access token of the application'
  readonly subject?: string
  /** Who acts for the subject, when the token was exchanged (RFC 8693 §4.1). */
  readonly actor?: string
  readonly scope?: string
  readonly audience?: string
  readonly acr?: string
  readonly expiresAt?: number
  readonly characters?: number
  /** The first 8 characters of the SHA-256 of the credential: enough to see that it changed. */
  readonly fingerprint?: string
  /** Names of the cookies that reached the API. */
  readonly cookies: readonly string[]
}

export interface Verification {
  readonly issuer: string
  /** What access tokens for this API are made out to. */
  readonly audience: string
  /** The same for the API of the partner, for which tokens are exchanged; without it that API has nothing to give. */
  readonly partnerAudience?: string
  readonly jwks: JSONWebKeySet
  readonly apiKey: string
}

const fingerprint = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 8)

/** Reads and verifies the credential of a call; undefined when there is one and it is not valid (RFC 9068 §4). */
export function createVerifier({ issuer, audience, partnerAudience = audience, jwks, apiKey }: Verification) {
  const keys = createLocalJWKSet(jwks)
  return async (request: IncomingMessage): Promise<Received | undefined> => {
    const cookies = (request.headers.cookie ?? '').split(/; */).flatMap((pair) => /^[^=]+/.exec(pair)?.[0] ?? [])
    const key = request.headers['x-api-key']
    if (typeof key === 'string') {
      if (key !== apiKey) return undefined
      return { credential: 'api key', characters: key.length, fingerprint: fingerprint(key), cookies }
    }
    if (request.headers.authorization === undefined) return { credential: 'none', cookies }
    const token = /^Bearer ([\w.-]+)$/.exec(request.headers.authorization)?.[1]
    if (token === undefined) return undefined
    try {
      const audiences = [audience, partnerAudience]
      const checks = { issuer, audience: audiences, typ: 'at+jwt', algorithms: ['ES256'] }
      const { payload } = await jwtVerify(token, keys, checks)
      const { act, acr, scope, sub, client_id: client, exp } = payload
      const actor = typeof act === 'object' && act !== null && 'sub' in act ? String(act.sub) : undefined
      return {
        credential: sub === client ? 'access token of the application' : 'access token of the user',
        subject: String(sub),
        ...(actor === undefined ? {} : { actor }),
        ...(typeof scope === 'string' ? { scope } : {}),
        audience: [payload.aud].flat().join(' '),
        ...(typeof acr === 'string' ? { acr } : {}),
        ...(exp === undefined ? {} : { expiresAt: exp }),
        characters: token.length,
        fingerprint: fingerprint(token),
        cookies,
      }
    } catch (error) {
      if (error instanceof joseErrors.JOSEError) return undefined
      throw error
    }
  }
}
