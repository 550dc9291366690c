import { sign } from 'node:crypto'
import type { Clock } from '../../shared/clock.ts'
import { encodeBase64url } from '../../shared/crypto/base64url.ts'
import type { DpopKey } from '../../shared/crypto/dpop-keys.ts'
import { randomId, type RandomBytes } from '../../shared/crypto/random.ts'
import { TokenHandlerError } from '../../shared/errors.ts'
import { createDpopNonces, parseDpopNonce } from '../../shared/oauth/dpop-nonces.ts'
import type { Possession } from '../credentials/credential.ts'
import { proofRefusal } from './challenge.ts'
import type { UpstreamFields } from './response-headers.ts'
import type { Upstream } from './upstreams.ts'

/** One request as the API sees it. */
export interface ProvedRequest {
  readonly method: string
  /** Scheme, authority and path, without query and fragment (RFC 9449 §4.2). */
  readonly url: string
  /** Name of the server that is asked: whose nonce the proof carries. */
  readonly server: string
  /** What refused the try before. */
  readonly demand?: NonceDemand | undefined
}

/**
 * An API asks for a call again, with this nonce in its proof.
 *
 * The nonce is for that call alone until it has been answered: another that took it first would spend it where an API takes
 * each once, and the two would refuse each other for ever.
 */
export class NonceDemand extends TokenHandlerError {
  /** Name of the server that asks; no other is shown the nonce. */
  readonly server: string
  readonly nonce: string
  /** Leaves the nonce to the next calls, unless there is a newer one. */
  readonly release: () => void

  constructor(server: string, nonce: string, release: () => void) {
    super('upstream_nonce_required', { fields: { retry_after: 1 }, detail: { check: 'upstream' } })
    this.server = server
    this.nonce = nonce
    this.release = release
  }
}

/** Makes the DPoP header of one try of a call; `demand` refused the one before. */
export type MakeProof = (upstream: Pick<Upstream, 'origin'>, demand: NonceDemand | undefined) => string

/** Makes the proofs of calls to APIs, and keeps the nonces that these ask for. */
export interface Proofs {
  /** The value of DPoP for one try of one request (RFC 9449 §4.2); the next try needs another. */
  prove(possession: Possession, request: ProvedRequest): string
  /**
   * Reads the answer to a call that was proved, and keeps the nonce in it (RFC 9449 §8.2, §9).
   *
   * Throws NonceDemand for one that asks for the call again and gives a nonce, and `upstream_proof_refused` for one that
   * takes the proof for wrong: a refresh for each call would mend neither a clock nor a URL that a gateway changed.
   */
  check(server: string, status: number, fields: UpstreamFields): void
}

/**
 * Creates the proofs of one proxy.
 *
 * A nonce goes to the server that gave it and to no other, or one API could choose what another is shown.
 */
export function createProofs({ clock, random }: { clock: Pick<Clock, 'nowSeconds'>; random: RandomBytes }): Proofs {
  const nonces = createDpopNonces()
  const heads = new WeakMap<DpopKey, string>()

  function headOf(key: DpopKey): string {
    const known = heads.get(key)
    if (known !== undefined) return known
    const made = encode({ typ: 'dpop+jwt', alg: 'ES256', jwk: key.publicJwk })
    heads.set(key, made)
    return made
  }

  return {
    prove({ key, tokenHash }, { method, url, server, demand }) {
      const nonce = demand?.server === server ? demand.nonce : nonces.find(server)
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
    check(server, status, fields) {
      const nonce = parseDpopNonce(fields['dpop-nonce'])
      const refusal = proofRefusal(status, fields)
      if (refusal === 'use_dpop_nonce' && nonce !== undefined) {
        throw new NonceDemand(server, nonce, nonces.hold(server, nonce))
      }
      if (nonce !== undefined) nonces.keep(server, nonce)
      if (refusal === 'invalid_dpop_proof') {
        throw new TokenHandlerError('upstream_proof_refused', { detail: { check: 'upstream' } })
      }
    },
  }
}

function encode(value: object): string {
  return encodeBase64url(Buffer.from(JSON.stringify(value)))
}
