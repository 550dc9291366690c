import { createPublicKey, type KeyObject } from 'node:crypto'
import type { CryptoKey } from 'jose'
import * as oauth from 'oauth4webapi'
import type { Clock } from '../clock.ts'
import { createDpopKeys, type DpopBinding, type DpopKey } from '../crypto/dpop-keys.ts'
import type { KeySource } from '../crypto/key-ring.ts'
import type { CallThroughTransport } from './call-options.ts'
import { createDpopNonces, parseDpopNonce } from './dpop-nonces.ts'
import { ProviderRefused } from './provider-error.ts'

/** Options that send a call of oauth4webapi with a proof. */
export type ProvedCall = CallThroughTransport & { readonly DPoP: oauth.DPoPHandle }

/** Proves to the authorization server that we hold one of our DPoP keys (RFC 9449 §5). */
export interface DpopProver extends Pick<DpopKey, 'keyId' | 'thumbprint'> {
  /**
   * Makes a call with a proof, and once more where the answer asks for that and gives a nonce (RFC 9449 §8, §9).
   *
   * Rejects as `ask` does.
   */
  prove<T>(options: CallThroughTransport, ask: (options: ProvedCall) => Promise<T>): Promise<T>
}

/** The provers of the keys of the ring. */
export interface DpopProvers {
  /** That of the key in force. */
  current(): DpopProver
  /** That of the key named; undefined once the ring has it no longer. */
  find(keyId: string): DpopProver | undefined
}

/** Creates the provers of one client; each keeps the nonces that servers gave, or every call would first be refused. */
export function createDpopProvers(parts: { keys: KeySource; binding: DpopBinding; clock: Clock }): DpopProvers {
  const { clock } = parts
  const keys = createDpopKeys(parts)
  const made = new WeakMap<DpopKey, DpopProver>()

  function proverOf(key: DpopKey): DpopProver {
    const known = made.get(key)
    if (known !== undefined) return known
    const prover = createProver(key, clock)
    made.set(key, prover)
    return prover
  }

  return {
    current: () => proverOf(keys.current()),
    find(keyId) {
      const key = keys.find(keyId)
      return key === undefined ? undefined : proverOf(key)
    },
  }
}

function createProver({ keyId, thumbprint, privateKey }: DpopKey, clock: Clock): DpopProver {
  const nonces = createDpopNonces()
  const pair = {
    privateKey: toCryptoKey(privateKey, 'sign'),
    publicKey: toCryptoKey(createPublicKey(privateKey), 'verify'),
  }

  /** A handle for one try: its own memory would give a nonce to whichever call comes next, and take any text for one. */
  function createHandle(demanded: string | undefined): oauth.DPoPHandle {
    return oauth.DPoP({}, pair, {
      [oauth.modifyAssertion](_header, payload) {
        const { htu } = payload
        payload['iat'] = clock.nowSeconds()
        payload['nonce'] = demanded ?? (typeof htu === 'string' ? nonces.find(originOf(htu)) : undefined)
      },
    })
  }

  return {
    keyId,
    thumbprint,
    async prove(options, ask) {
      const answer: { given?: { readonly server: string; readonly nonce: string } | undefined } = {}
      let release: (() => void) | undefined
      const once = (demanded?: string) => {
        answer.given = undefined
        return ask({
          ...options,
          async [oauth.customFetch](url, request) {
            const response = await options[oauth.customFetch](url, request)
            const nonce = parseDpopNonce(response.headers.get('dpop-nonce'))
            answer.given = nonce === undefined ? undefined : { server: originOf(url), nonce }
            return response
          },
          DPoP: createHandle(demanded),
        })
      }
      try {
        return await once().catch((error: unknown) => {
          // A server that wants another nonce has not looked at code, refresh token or access token yet.
          if (answer.given === undefined || !isNonceDemand(error)) throw error
          const { server, nonce } = answer.given
          release = nonces.hold(server, nonce)
          return once(nonce)
        })
      } finally {
        release?.()
        if (answer.given !== undefined) nonces.keep(answer.given.server, answer.given.nonce)
      }
    },
  }
}

/** `use_dpop_nonce` in the body of a token answer (RFC 9449 §8), or in the challenge of userinfo (§9). */
function isNonceDemand(error: unknown): boolean {
  return error instanceof ProviderRefused ? error.error === 'use_dpop_nonce' : oauth.isDPoPNonceError(error)
}

function originOf(url: string): string {
  return new URL(url).origin
}

/** The private half cannot be read back out of it; the public one has to be shown. */
function toCryptoKey(key: KeyObject, usage: 'sign' | 'verify'): CryptoKey {
  return key.toCryptoKey({ name: 'ECDSA', namedCurve: 'P-256' }, usage === 'verify', [usage]) as CryptoKey
}
