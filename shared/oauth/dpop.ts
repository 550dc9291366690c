import { createPublicKey, type KeyObject } from 'node:crypto'
import type { CryptoKey } from 'jose'
import * as oauth from 'oauth4webapi'
import type { Clock } from '../clock.ts'
import { createDpopKeys, type DpopBinding, type DpopKey } from '../crypto/dpop-keys.ts'
import type { KeySource } from '../crypto/key-ring.ts'

/** Proves to the authorization server that we hold one of our DPoP keys (RFC 9449 §5). */
export interface DpopProver extends Pick<DpopKey, 'keyId' | 'thumbprint'> {
  /** Makes the proofs of oauth4webapi. */
  readonly handle: oauth.DPoPHandle
}

/** The provers of the keys of the ring. */
export interface DpopProvers {
  /** That of the key in force. */
  current(): DpopProver
  /** That of the key named; undefined once the ring has it no longer. */
  find(keyId: string): DpopProver | undefined
}

/**
 * Creates the provers of one client.
 *
 * A handle keeps the nonces that the server gave, so there is one for each key and not one for each call: otherwise every
 * call would first be refused for want of a nonce (RFC 9449 §8).
 */
export function createDpopProvers(parts: { keys: KeySource; binding: DpopBinding; clock: Clock }): DpopProvers {
  const { clock } = parts
  const keys = createDpopKeys(parts)
  const made = new WeakMap<DpopKey, DpopProver>()

  function proverOf(key: DpopKey): DpopProver {
    const known = made.get(key)
    if (known !== undefined) return known
    const { keyId, thumbprint } = key
    const prover = { keyId, thumbprint, handle: createHandle(key, clock) }
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

function createHandle({ privateKey }: DpopKey, clock: Clock): oauth.DPoPHandle {
  const pair = {
    privateKey: toCryptoKey(privateKey, 'sign'),
    publicKey: toCryptoKey(createPublicKey(privateKey), 'verify'),
  }
  return oauth.DPoP({}, pair, {
    [oauth.modifyAssertion](_header, payload) {
      payload['iat'] = clock.nowSeconds()
    },
  })
}

/** The private half cannot be read back out of it; the public one has to be shown. */
function toCryptoKey(key: KeyObject, usage: 'sign' | 'verify'): CryptoKey {
  return key.toCryptoKey({ name: 'ECDSA', namedCurve: 'P-256' }, usage === 'verify', [usage]) as CryptoKey
}
