import type { KeyObject, X509Certificate } from 'node:crypto'
import type { ConfigCheck, CrossProblem } from './check.ts'
import { type ClientAlgorithm, keyTypes } from '../../crypto/client-algorithms.ts'
import type { ReadFile } from '../../read-file.ts'
import type { Config, Route } from '../schema.ts'
import {
  createSettingFileReading,
  parseAuthorities,
  parseCertificate,
  parsePrivateKey,
  type ReadSettingFile,
} from './pem-files.ts'

/** Files that settings name: there, readable, of the right kind and belonging together. */
export function fileChecks(readFile: ReadFile): ConfigCheck {
  const read = createSettingFileReading(readFile)
  return function* ({ client, authorizationServer, store, proxy }) {
    yield* clientChecks(client, read)
    yield* authoritiesCheck('authorization_server.ca_file', authorizationServer.caFile, read)
    yield* authoritiesCheck('authorization_server.http_proxy_ca_file', authorizationServer.httpProxyCaFile, read)
    if ('caFile' in store) yield* authoritiesCheck('store.ca_file', store.caFile, read)
    for (const [index, route] of proxy.routes.entries()) yield* routeChecks(route, `proxy.routes[${index}]`, read)
  }
}

function* clientChecks(client: Config['client'], read: ReadSettingFile): Iterable<CrossProblem> {
  if ('certificateFile' in client) yield* pairCheck('client.', client, read)
  if (client.authentication !== 'private_key_jwt') return
  const { privateKeyFile, nextPrivateKeyFile, algorithm } = client
  const keyFiles = { private_key_file: privateKeyFile, next_private_key_file: nextPrivateKeyFile }
  for (const [name, file] of Object.entries(keyFiles)) {
    if (file === undefined) continue
    const path = `client.${name}`
    const key = yield* read(path, file, parsePrivateKey)
    if (key !== undefined) yield* signingKeyChecks(path, key, algorithm)
  }
}

function* routeChecks(route: Route, path: string, read: ReadSettingFile): Iterable<CrossProblem> {
  yield* authoritiesCheck(`${path}.ca_file`, route.caFile, read)
  const { clientCertificateFile: certificateFile, clientPrivateKeyFile: privateKeyFile } = route
  // One without the other is refused among the settings.
  if (certificateFile === undefined || privateKeyFile === undefined) return
  yield* pairCheck(`${path}.client_`, { certificateFile, privateKeyFile }, read)
}

function* authoritiesCheck(path: string, file: string | undefined, read: ReadSettingFile): Iterable<CrossProblem> {
  if (file !== undefined) yield* read(path, file, parseAuthorities)
}

/** A certificate and its key. */
export interface CertificatePair {
  readonly certificateFile: string
  readonly privateKeyFile: string
}

/** Gives the certificate, if it can be used; `prefix` is what precedes `certificate_file` and `private_key_file` in the settings. */
export function* pairCheck(
  prefix: string,
  { certificateFile, privateKeyFile }: CertificatePair,
  read: ReadSettingFile,
): Generator<CrossProblem, X509Certificate | undefined> {
  const certificate = yield* read(`${prefix}certificate_file`, certificateFile, parseCertificate)
  const key = yield* read(`${prefix}private_key_file`, privateKeyFile, parsePrivateKey)
  if (certificate !== undefined && key !== undefined && !certificate.checkPrivateKey(key)) {
    yield {
      path: `${prefix}private_key_file`,
      problem: 'is not the key of the certificate',
      remedy: 'Give the key with which the certificate was requested.',
    }
  }
  return certificate
}

/** RFC 7518 §3: each algorithm goes with one kind of key; RSA keys have at least 2048 bits. */
function* signingKeyChecks(path: string, key: KeyObject, algorithm: ClientAlgorithm): Iterable<CrossProblem> {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key
  if (type === 'rsa' && (details?.modulusLength ?? 0) < 2048) {
    yield { path, problem: 'is an RSA key of less than 2048 bits', remedy: 'Make a longer one.' }
  }
  if (type !== keyTypes[algorithm] || (type === 'ec' && details?.namedCurve !== 'prime256v1')) {
    yield {
      path,
      problem: `is not a key for ${algorithm}`,
      remedy:
        'Change client.algorithm, or give a P-256 key for ES256, an Ed25519 key for EdDSA, an RSA key for the others.',
      given: ['client.algorithm'],
    }
  }
}
