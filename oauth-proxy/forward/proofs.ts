import { sign } from 'node:crypto'
import type { Clock } from '../../shared/clock.ts'
import { encodeBase64url } from '../../shared/crypto/base64url.ts'
import type { DpopKey } from '../../shared/crypto/dpop-keys.ts'
import { randomId, type RandomBytes } from '../../shared/crypto/random.ts'
import { TokenHandlerError } from '../../shared/errors.ts'
import type { Possession } from '../credentials/credential.ts'
import { demandsNonce } from './challenge.ts'
import type { UpstreamFields } from './response-headers.ts'

/** One request as the API sees it. */
export interface ProvedRequest {
  readonly method: string
  /** Scheme, authority and path, without query and fragment (RFC 9449 §4.2). */
  readonly url: string
  /** Origin of the upstream that is asked: whose nonce the proof carries. */
  readonly origin: string
}

/** Makes the proofs of calls to APIs, and keeps the nonces that these ask for. */
export interface Proofs {
  /** The value of DPoP for one try of one request (RFC 9449 §4.2); the next try needs another. */
  prove(possession: Possession, request: ProvedRequest): string
  /** Keeps the nonce of an answer; true when it has one that can be used (RFC 9449 §8.2, §9). */
  note(origin: string, fields: UpstreamFields): boolean
}

/** RFC 9449 §8.1, and short enough that it does not push the header of the request over what servers take. */
const nonceForm = /^[\x21\x23-\x5b\x5d-\x7e]{1,512}$/

/**
 * Creates the proofs of one proxy.
 *
 * A nonce goes to the origin that gave it and to no other, or one API could choose what another is shown. There are as many
 * as the settings name upstreams, so nothing grows.
 */
export function createProofs({ clock, random }: { clock: Pick<Clock, 'nowSeconds'>; random: RandomBytes }): Proofs {
  const nonces = new Map<string, string>()
  const heads = new WeakMap<DpopKey, string>()

  function headOf(key: DpopKey): string {
    const known = heads.get(key)
    if (known !== undefined) return known
    const made = encode({ typ: 'dpop+jwt', alg: 'ES256', jwk: key.publicJwk })
    heads.set(key, made)
    return made
  }

  return {
    prove({ key, tokenHash }, { method, url, origin }) {
      const nonce = nonces.get(origin)
      const claims = {
        jti: randomId(random),
        htm: method,
        htu: url,
        iat: clock.nowSeconds(),
        ath: tokenHash,
        ...(nonce === undefined ? undefined : { nonce }),
      }
      const signed = `${headOf(key)}.${encode(claims)}`
      // JOSE wants both halves of the signature side by side (RFC 7518 §3.4).
      const signature = sign('sha256', Buffer.from(signed), { key: key.privateKey, dsaEncoding: 'ieee-p1363' })
      return `${signed}.${encodeBase64url(signature)}`
    },
    note(origin, fields) {
      const nonce = fields['dpop-nonce']
      if (typeof nonce !== 'string' || !nonceForm.test(nonce)) return false
      nonces.set(origin, nonce)
      return true
    },
  }
}

/**
 * Reads an answer of an API that was shown a proof.
 *
 * Throws `upstream_nonce_required` for one that asks for the call again, with the nonce that it gives.
 */
export function checkNonce(proofs: Proofs, origin: string, status: number, fields: UpstreamFields): void {
  const isUsable = proofs.note(origin, fields)
  if (isUsable && demandsNonce(status, fields)) {
    throw new TokenHandlerError('upstream_nonce_required', {
      fields: { retry_after: 1 },
      detail: { check: 'upstream' },
    })
  }
}

/** True for the refusal that `checkNonce` throws. */
export function isNonceDemand(error: unknown): boolean {
  return error instanceof TokenHandlerError && error.code === 'upstream_nonce_required'
}

function encode(value: object): string {
  return encodeBase64url(Buffer.from(JSON.stringify(value)))
}
