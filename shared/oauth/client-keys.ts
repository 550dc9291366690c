import { createPrivateKey, createPublicKey, type KeyObject, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { CryptoKey, JWK } from 'jose'
import { calculateJwkThumbprint } from 'jose/jwk/thumbprint'
import { exportJWK } from 'jose/key/export'
import { importPKCS8 } from 'jose/key/import'
import type { Config } from '../config/schema.ts'
import { type ClientAlgorithm, keyTypes } from '../crypto/client-algorithms.ts'

/** The `client` section of the settings. */
export type ClientSettings = Config['client']
/** The `client` section with `authentication: private_key_jwt`. */
export type PrivateKeyJwtSettings = Extract<ClientSettings, { authentication: 'private_key_jwt' }>

/** A private key ready to sign, and the name by which the authorization server finds its public half. */
export interface Signer {
  readonly key: CryptoKey
  readonly kid: string
  /** The `alg` of the settings: the library writes Ed25519 for EdDSA, and servers compare it with what is registered. */
  readonly algorithm: string
}

/** The key of assertions and request objects; throws when the file holds no key of the algorithm. */
export function loadSigner(settings: PrivateKeyJwtSettings): Promise<Signer> {
  const pem = readFileSync(settings.privateKeyFile, 'utf8')
  const publicKey = createPublicKey(checkKeyType(pem, settings.privateKeyFile, settings.algorithm))
  const signer = importPKCS8(pem, settings.algorithm).then(async (key) => ({
    key,
    kid: settings.keyId ?? (await thumbprintOf(publicKey)),
    algorithm: settings.algorithm,
  }))
  // Each caller gets the failure; without this it would also count as unhandled.
  signer.catch(() => {})
  return signer
}

/**
 * Our public keys as the authorization server may fetch them (RFC 7517 §5): the present one and the next, so that the
 * next is known before it signs; or the self-signed certificate (RFC 8705 §2.2.2). Empty where there is none.
 *
 * Throws when a key file cannot be read or holds a key that does not fit.
 */
export function loadPublicKeys(settings: ClientSettings): Promise<readonly JWK[]> {
  const keys = Promise.all(
    readPublicKeys(settings).map(async ({ key, kid, ...use }) => ({
      ...(await exportJWK(key)),
      kid: kid ?? (await thumbprintOf(key)),
      ...use,
    })),
  )
  keys.catch(() => {})
  return keys
}

type PublicKey = { readonly key: KeyObject; readonly kid?: string | undefined } & Pick<JWK, 'use' | 'alg' | 'x5c'>

function readPublicKeys(settings: ClientSettings): readonly PublicKey[] {
  if (settings.authentication === 'private_key_jwt') {
    const { algorithm, keyId, privateKeyFile, nextPrivateKeyFile } = settings
    const read = (file: string, kid?: string): PublicKey => ({
      key: createPublicKey(checkKeyType(readFileSync(file, 'utf8'), file, algorithm)),
      kid,
      use: 'sig',
      alg: algorithm,
    })
    return [read(privateKeyFile, keyId), ...(nextPrivateKeyFile === undefined ? [] : [read(nextPrivateKeyFile)])]
  }
  if (settings.authentication === 'self_signed_tls_client_auth') {
    const certificate = new X509Certificate(readFileSync(settings.certificateFile))
    return [{ key: certificate.publicKey, x5c: [certificate.raw.toString('base64')] }]
  }
  return []
}

async function thumbprintOf(publicKey: KeyObject): Promise<string> {
  return calculateJwkThumbprint(await exportJWK(publicKey))
}

function checkKeyType(pem: string, file: string, algorithm: ClientAlgorithm): KeyObject {
  const key = createPrivateKey(pem)
  if (key.asymmetricKeyType !== keyTypes[algorithm]) {
    throw new Error(`${file} holds a key of type ${key.asymmetricKeyType}, which cannot sign ${algorithm}`)
  }
  return key
}
