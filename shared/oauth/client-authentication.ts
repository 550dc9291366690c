import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { calculateJwkThumbprint, exportJWK, importPKCS8 } from 'jose'
import * as oauth from 'oauth4webapi'
import type { Clock } from '../clock.ts'
import type { Config } from '../config/schema.ts'
import type { TransportTls } from './transport.ts'

export type ClientSettings = Config['client']

/** Who we are at the authorization server and how that is shown. */
export interface ClientIdentity {
  readonly client: oauth.Client
  readonly authenticate: oauth.ClientAuth
  /** The client certificate for the connection, where that is the proof (RFC 8705 §2). */
  readonly tls: Pick<TransportTls, 'certificate' | 'privateKey'>
}

/**
 * Creates the client's identity from its settings; always a confidential client (RFC 10017 §6.1.3.1).
 *
 * Reads the key and certificate files once. Throws when one of them is missing or holds no usable key.
 */
export function createClientIdentity(parts: { config: { client: ClientSettings }; clock: Clock }): ClientIdentity {
  const settings = parts.config.client
  const client: oauth.Client = { client_id: settings.id }
  switch (settings.authentication) {
    case 'client_secret_basic':
      return { client, authenticate: oauth.ClientSecretBasic(settings.secret.reveal()), tls: {} }
    case 'client_secret_post':
      return { client, authenticate: oauth.ClientSecretPost(settings.secret.reveal()), tls: {} }
    case 'private_key_jwt':
      return { client, authenticate: privateKeyJwt(settings, parts.clock), tls: {} }
    case 'tls_client_auth':
    case 'self_signed_tls_client_auth':
      return {
        client: { ...client, use_mtls_endpoint_aliases: true },
        authenticate: oauth.TlsClientAuth(),
        tls: {
          certificate: readFileSync(settings.certificateFile, 'utf8'),
          privateKey: readFileSync(settings.privateKeyFile, 'utf8'),
        },
      }
  }
}

type PrivateKeyJwtSettings = Extract<ClientSettings, { authentication: 'private_key_jwt' }>

/** Lifetime of an assertion in seconds; each is used once (RFC 7523 §3). */
const assertionSeconds = 60

function privateKeyJwt(settings: PrivateKeyJwtSettings, clock: Clock): oauth.ClientAuth {
  const pem = readFileSync(settings.privateKeyFile, 'utf8')
  const publicKey = createPublicKey(checkKeyType(pem, settings))
  const signer = importPKCS8(pem, settings.algorithm).then(async (key) => ({
    key,
    kid: settings.keyId ?? (await calculateJwkThumbprint(await exportJWK(publicKey))),
  }))
  // A failure is told to each caller below; without this it would also count as unhandled.
  signer.catch(() => {})

  return async (server, client, body, headers) => {
    const authenticate = oauth.PrivateKeyJwt(await signer, {
      [oauth.modifyAssertion](header, payload) {
        if (settings.typedAssertion) header['typ'] = 'client-authentication+jwt'
        // The issuer as the only audience, or another server could replay the assertion (audience injection).
        payload['aud'] = server.issuer
        payload['iat'] = clock.nowSeconds()
        payload['exp'] = clock.nowSeconds() + assertionSeconds
        // A server whose clock is a second behind would refuse it.
        delete payload['nbf']
      },
    })
    await authenticate(server, client, body, headers)
  }
}

const keyTypes = { ES256: 'ec', PS256: 'rsa', RS256: 'rsa', EdDSA: 'ed25519' } as const

function checkKeyType(pem: string, { algorithm, privateKeyFile }: PrivateKeyJwtSettings): KeyObject {
  const key = createPrivateKey(pem)
  if (key.asymmetricKeyType !== keyTypes[algorithm]) {
    throw new Error(`${privateKeyFile} holds a key of type ${key.asymmetricKeyType}, which cannot sign ${algorithm}`)
  }
  return key
}
