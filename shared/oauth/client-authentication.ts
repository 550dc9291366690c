import { readFileSync } from 'node:fs'
import type { JWK } from 'jose'
import * as oauth from 'oauth4webapi'
import type { Clock } from '../clock.ts'
import {
  type ClientSettings,
  loadPublicKeys,
  loadSigner,
  type PrivateKeyJwtSettings,
  type Signer,
} from './client-keys.ts'
import type { Secret } from '../secret.ts'
import type { TransportTls } from './transport.ts'

/** Who we are at the authorization server, and how we prove it. */
export interface ClientIdentity {
  readonly client: oauth.Client
  readonly authenticate: oauth.ClientAuth
  /** The client certificate for the connection, where that is the proof (RFC 8705 §2). */
  readonly tls: Pick<TransportTls, 'certificate' | 'privateKey'>
  /**
   * Signs an authorization request for this server (RFC 9101 §4).
   *
   * Throws Error without a key; the settings are refused at start when they ask for that.
   */
  signRequestObject(server: oauth.AuthorizationServer, parameters: URLSearchParams): Promise<string>
  /** Our public keys, for the authorization server to fetch; empty when the client has none. */
  readonly publicKeys: Promise<readonly JWK[]>
  /** Authenticates with the secret of these settings from now on; changes nothing for a client without one. */
  replaceSecret(settings: ClientSettings): void
}

/**
 * Creates the client's identity from its settings; always a confidential client (RFC 10017 §6.1.3.1).
 *
 * Reads the key and certificate files once. Throws when one of them is missing or holds no usable key.
 */
export function createClientIdentity(parts: { config: { client: ClientSettings }; clock: Clock }): ClientIdentity {
  const { clock } = parts
  const settings = parts.config.client
  const { authenticate, signer, replaceSecret } = createAuthentication(settings, clock)
  const client: oauth.Client = {
    client_id: settings.id,
    ...(settings.authentication.endsWith('tls_client_auth') ? { use_mtls_endpoint_aliases: true } : undefined),
  }
  return {
    client,
    authenticate,
    tls: 'certificateFile' in settings ? loadCertificate(settings) : {},
    async signRequestObject(server, parameters) {
      if (signer === undefined) throw new Error('a request object needs client.authentication: private_key_jwt')
      const { algorithm, ...key } = await signer
      return oauth.issueRequestObject(server, client, parameters, key, requestObjectForm(algorithm, clock))
    },
    publicKeys: loadPublicKeys(settings),
    replaceSecret,
  }
}

function loadCertificate(files: { certificateFile: string; privateKeyFile: string }): ClientIdentity['tls'] {
  return {
    certificate: readFileSync(files.certificateFile, 'utf8'),
    privateKey: readFileSync(files.privateKeyFile, 'utf8'),
  }
}

/** How a client authenticates, and the key with which it signs, if it has one. */
interface Authentication extends Pick<ClientIdentity, 'authenticate' | 'replaceSecret'> {
  readonly signer?: Promise<Signer>
}

function createAuthentication(settings: ClientSettings, clock: Clock): Authentication {
  const replaceSecret = (): void => {}
  switch (settings.authentication) {
    case 'client_secret_basic':
      return bySecret(settings.secret, clientSecretBasic)
    case 'client_secret_post':
      return bySecret(settings.secret, oauth.ClientSecretPost)
    case 'private_key_jwt': {
      const signer = loadSigner(settings)
      return { authenticate: privateKeyJwt(settings, signer, clock), signer, replaceSecret }
    }
    case 'tls_client_auth':
    case 'self_signed_tls_client_auth':
      return { authenticate: oauth.TlsClientAuth(), replaceSecret }
  }
}

function bySecret(first: Secret, authenticateWith: (secret: string) => oauth.ClientAuth): Authentication {
  let authenticate = authenticateWith(first.reveal())
  return {
    authenticate: (...request) => authenticate(...request),
    replaceSecret(settings) {
      if ('secret' in settings) authenticate = authenticateWith(settings.secret.reveal())
    },
  }
}

/**
 * Both halves in the form encoding of browsers (RFC 6749 §2.3.1, WHATWG URL §5.2).
 *
 * The library also encodes `-`, `.`, `_` and `*`. That is the same to a server that decodes, but LemonLDAP::NG and
 * Glewlwyd do not, and then know no client `example%2Dapp`.
 */
function clientSecretBasic(secret: string): oauth.ClientAuth {
  return (_server, client, _body, headers) => {
    headers.set('authorization', `Basic ${btoa(`${formEncoded(client.client_id)}:${formEncoded(secret)}`)}`)
  }
}

/** A value as it stands in a form (WHATWG URL §5.2). */
export function formEncoded(value: string): string {
  return new URLSearchParams([['', value]]).toString().slice('='.length)
}

/** Lifetime of an assertion in seconds; each is used once (RFC 7523 §3). */
const assertionSeconds = 60

function privateKeyJwt(settings: PrivateKeyJwtSettings, signer: Promise<Signer>, clock: Clock): oauth.ClientAuth {
  return async (server, client, body, headers) => {
    const { algorithm, ...key } = await signer
    const authenticate = oauth.PrivateKeyJwt(key, {
      [oauth.modifyAssertion](header, payload) {
        header['alg'] = algorithm
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

/** Seconds a request object is good for: it only has to reach the server, if need be through a slow browser. */
const requestObjectSeconds = 300
/** Seconds by which the server's clock may be behind ours; `nbf` is demanded by FAPI 2.0 Message Signing §5.3.2. */
const requestObjectLead = 30

function requestObjectForm(algorithm: string, clock: Clock): oauth.ModifyAssertionOptions {
  return {
    [oauth.modifyAssertion](header, payload) {
      header['alg'] = algorithm
      payload['iat'] = clock.nowSeconds()
      payload['nbf'] = clock.nowSeconds() - requestObjectLead
      payload['exp'] = clock.nowSeconds() + requestObjectSeconds
    },
  }
}
