import type { JSONWebKeySet, JWTVerifyGetKey, JWTVerifyOptions } from 'jose'
import * as errors from 'jose/errors'
import { createLocalJWKSet } from 'jose/jwks/local'
import { jwtVerify } from 'jose/jwt/verify'
import { decodeProtectedHeader } from 'jose/decode/protected_header'
import { type Clock, isWithin } from '../clock.ts'

/** The issuer's keys, as verification needs them. */
export interface KeySet {
  /** Fetches the keys where there are none; throws what `load` throws as long as there are none. */
  prepare(): Promise<void>
  /**
   * Verifies a JWT against the issuer's keys.
   *
   * Throws the errors of jose, and whatever `load` throws when the keys that are needed cannot be had.
   */
  verify(jwt: string, options: JWTVerifyOptions): ReturnType<typeof jwtVerify>
}

/** Least time between two fetches because of an unknown `kid`, so that a flood of made-up ones costs nothing (L06). */
const missPauseMs = 10_000
/** Least time between two fetches while they fail. */
const failurePauseMs = 2000

/**
 * Creates a cache of the issuer's JSON Web Key Set (RFC 7517 §5).
 *
 * An unknown `kid`, or without one a signature by none of the keys, fetches again at once, because a key may sign the
 * moment it is published (OpenID Connect Core §10.1.1), but at most once per pause. Keys in regular use are renewed while
 * the old ones verify, and while the endpoint is down the old ones stay in use (FI-21): a refresh whose token is spent
 * already must not wait for either. Keys that nobody has used for long are renewed first, as some may be withdrawn.
 */
export function createKeySet(parts: {
  load: () => Promise<JSONWebKeySet>
  clock: Clock
  maxAgeSeconds: number
}): KeySet {
  const { load, clock, maxAgeSeconds } = parts
  let keys: JWTVerifyGetKey | undefined
  let loadedMs = Number.NEGATIVE_INFINITY
  let missedMs = Number.NEGATIVE_INFINITY
  let failed: { readonly atMs: number; readonly error: unknown } | undefined
  let flight: Promise<JWTVerifyGetKey> | undefined

  function fetchKeys(): Promise<JWTVerifyGetKey> {
    if (failed !== undefined && isWithin(clock, failed.atMs, failurePauseMs)) return Promise.reject(failed.error)
    flight ??= fetchOnce().finally(() => {
      flight = undefined
    })
    return flight
  }

  async function fetchOnce(): Promise<JWTVerifyGetKey> {
    try {
      keys = createLocalJWKSet(await load())
      loadedMs = clock.nowMs()
      failed = undefined
      return keys
    } catch (error) {
      failed = { atMs: clock.nowMs(), error }
      throw error
    }
  }

  function present(): Promise<JWTVerifyGetKey> {
    const known = keys
    if (known === undefined) return fetchKeys()
    if (isWithin(clock, loadedMs, maxAgeSeconds * 1000)) return Promise.resolve(known)
    const isWorthWaiting = failed === undefined && !isWithin(clock, loadedMs, 2 * maxAgeSeconds * 1000)
    const renewed = fetchKeys().catch(() => known)
    return isWorthWaiting ? renewed : Promise.resolve(known)
  }

  /** Newer keys than `tried`; throws if they cannot be had, since then nobody knows whether the signature is good. */
  function newer(tried: JWTVerifyGetKey, notFound: unknown): Promise<JWTVerifyGetKey> {
    if (flight !== undefined) return flight
    if (keys !== undefined && keys !== tried) return Promise.resolve(keys)
    if (failed === undefined && isWithin(clock, missedMs, missPauseMs)) return Promise.reject(notFound)
    missedMs = clock.nowMs()
    return fetchKeys()
  }

  return {
    async prepare() {
      // Old ones are renewed by `verify`; a renewal that hangs would be waited for twice.
      if (keys === undefined) await fetchKeys()
    },
    async verify(jwt, options) {
      const tried = await present()
      try {
        return await verifyWithAny(jwt, tried, options)
      } catch (error) {
        if (!mayBeOfNewKey(jwt, error)) throw error
        return verifyWithAny(jwt, await newer(tried, error), options)
      }
    },
  }
}

/** Without `kid` a new key cannot be told from an old one but by the signature (OpenID Connect Core §10.1). */
function mayBeOfNewKey(jwt: string, error: unknown): boolean {
  if (error instanceof errors.JWKSNoMatchingKey) return true
  return error instanceof errors.JWSSignatureVerificationFailed && decodeProtectedHeader(jwt).kid === undefined
}

/** A JWT without `kid` may fit several keys of its algorithm; any of them is the issuer's (OpenID Connect Core §10.1). */
async function verifyWithAny(jwt: string, keys: JWTVerifyGetKey, options: JWTVerifyOptions) {
  try {
    return await jwtVerify(jwt, keys, options)
  } catch (error) {
    if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error
    return verifyWithEach(jwt, error, options)
  }
}

async function verifyWithEach(jwt: string, keys: errors.JWKSMultipleMatchingKeys, options: JWTVerifyOptions) {
  for await (const key of keys) {
    try {
      return await jwtVerify(jwt, key, options)
    } catch (failure) {
      if (!(failure instanceof errors.JWSSignatureVerificationFailed)) throw failure
    }
  }
  throw new errors.JWSSignatureVerificationFailed()
}
