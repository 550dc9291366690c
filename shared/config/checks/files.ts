import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import type { ConfigCheck, CrossProblem } from './check.ts'
import { certificatesOf, isUnfinishedPem, pemBlocks } from '../../crypto/certificate.ts'
import type { ReadFile } from '../../read-file.ts'
import type { Config } from '../schema.ts'

/** Files that settings name: there, readable, of the right kind and belonging together. */
export function fileChecks(readFile: ReadFile): ConfigCheck {
  return function* (config) {
    const { client, authorizationServer } = config
    if (client.authentication === 'private_key_jwt') {
      const key = yield* readKey(client.privateKeyFile, 'client.private_key_file', readFile)
      yield* algorithmCheck(key, client.algorithm, 'client.private_key_file')
      if (client.nextPrivateKeyFile !== undefined) {
        const next = yield* readKey(client.nextPrivateKeyFile, 'client.next_private_key_file', readFile)
        yield* algorithmCheck(next, client.algorithm, 'client.next_private_key_file')
      }
    } else if ('certificateFile' in client) {
      yield* pairCheck(client.certificateFile, client.privateKeyFile, 'client.', readFile)
    }
    yield* readAuthorities(authorizationServer.caFile, 'authorization_server.ca_file', readFile)
    yield* readAuthorities(authorizationServer.httpProxyCaFile, 'authorization_server.http_proxy_ca_file', readFile)
    if ('caFile' in config.store) yield* readAuthorities(config.store.caFile, 'store.ca_file', readFile)
    yield* routeFileChecks(config, readFile)
  }
}

function* routeFileChecks({ proxy }: Config, readFile: ReadFile): Iterable<CrossProblem> {
  for (const [index, route] of proxy.routes.entries()) {
    const path = `proxy.routes[${index}]`
    yield* readAuthorities(route.caFile, `${path}.ca_file`, readFile)
    if (route.clientCertificateFile === undefined || route.clientPrivateKeyFile === undefined) continue
    yield* pairCheck(route.clientCertificateFile, route.clientPrivateKeyFile, `${path}.client_`, readFile)
  }
}

/** The files that a listener for TLS names. */
export interface ListenerFiles {
  readonly certificateFile: string
  readonly privateKeyFile: string
  readonly clientCaFile?: string | undefined
}

/** What is wrong with the files of a listener at `nowMs`; `prefix` is what precedes the names of their settings. */
export function* listenerFileCheck(
  { certificateFile, privateKeyFile, clientCaFile }: ListenerFiles,
  prefix: string,
  readFile: ReadFile,
  nowMs: number,
): Iterable<CrossProblem> {
  const certificate = yield* pairCheck(certificateFile, privateKeyFile, prefix, readFile)
  if (certificate !== undefined && isExpired(certificate, nowMs)) {
    yield {
      path: `${prefix}certificate_file`,
      problem: `holds a certificate that expired at ${certificate.validToDate.toISOString()}`,
      remedy: 'Renew it; the new files are taken without a restart.',
    }
  }
  if (clientCaFile === undefined) return
  const path = `${prefix}client_ca_file`
  const authorities = yield* readAuthorities(clientCaFile, path, readFile)
  if (authorities === undefined) return
  // Others may stay behind until those who use them have new certificates.
  if (authorities.every((each) => isExpired(each, nowMs))) {
    yield { path, problem: 'holds only certificates that have expired', remedy: 'Give the authority that is in use.' }
  }
  if (!authorities.every(({ ca }) => ca)) {
    yield {
      path,
      problem: 'holds a certificate that is not of an authority, so it vouches for no client',
      remedy: 'Give the certificate of the authority that signed those of the clients.',
    }
  }
}

/** Whether a file ends too early, or certificate and key do not belong together, as while they are replaced. */
export function isHalfReplaced(
  { certificateFile, privateKeyFile, clientCaFile = certificateFile }: ListenerFiles,
  readFile: ReadFile,
): boolean {
  try {
    const texts = [certificateFile, privateKeyFile, clientCaFile].map(readFile)
    if (texts.some((text) => text === '' || isUnfinishedPem(text))) return true
    const certificate = new X509Certificate(readFile(certificateFile))
    return !certificate.checkPrivateKey(createPrivateKey(readFile(privateKeyFile)))
  } catch {
    return false
  }
}

function isExpired({ validToDate }: X509Certificate, nowMs: number): boolean {
  return validToDate.getTime() <= nowMs
}

/** Every certificate of the file: node:tls leaves out what it cannot read, and then takes fewer than were meant. */
function* readAuthorities(
  file: string | undefined,
  path: string,
  readFile: ReadFile,
): Found<readonly X509Certificate[]> {
  const text = file === undefined ? undefined : yield* readPem(file, path, readFile)
  if (text === undefined) return undefined
  const blocks = pemBlocks(text)
  try {
    if (blocks.length > 0) return blocks.map((block) => new X509Certificate(block.text))
  } catch {
    // Said below.
  }
  yield { path, problem: 'holds something that is not a certificate', remedy: 'Give a PEM file of certificates only.' }
  return undefined
}

/** Yields what is wrong and gives what was read, if it can be used. */
type Found<T> = Generator<CrossProblem, T | undefined>

/** `prefix` is what precedes `certificate_file` and `private_key_file` in the settings. */
function* pairCheck(
  certificateFile: string,
  keyFile: string,
  prefix: string,
  readFile: ReadFile,
): Found<X509Certificate> {
  const certificate = yield* readCertificate(certificateFile, `${prefix}certificate_file`, readFile)
  const key = yield* readKey(keyFile, `${prefix}private_key_file`, readFile)
  if (certificate !== undefined && key !== undefined && !certificate.checkPrivateKey(key)) {
    yield {
      path: `${prefix}private_key_file`,
      problem: 'is not the key of the certificate',
      remedy: 'Give the key with which the certificate was requested.',
    }
  }
  return certificate
}

function* readKey(file: string, path: string, readFile: ReadFile): Found<KeyObject> {
  const text = yield* readText(file, path, readFile)
  if (text === undefined) return undefined
  try {
    return createPrivateKey(text)
  } catch {
    yield { path, problem: 'holds no private key that can be read', remedy: 'Give an unencrypted PKCS #8 PEM file.' }
    return undefined
  }
}

function* readCertificate(file: string, path: string, readFile: ReadFile): Found<X509Certificate> {
  const text = yield* readPem(file, path, readFile)
  if (text === undefined) return undefined
  try {
    const [certificate] = certificatesOf(text)
    if (certificate !== undefined) return certificate
    yield { path, problem: 'holds no certificate', remedy: 'Give a PEM file.' }
  } catch {
    yield { path, problem: 'holds a certificate that cannot be read', remedy: 'Give a PEM file.' }
  }
  return undefined
}

function* readPem(file: string, path: string, readFile: ReadFile): Found<string> {
  const text = yield* readText(file, path, readFile)
  if (text === undefined || !isUnfinishedPem(text)) return text
  yield {
    path,
    problem: 'breaks off, or has something else on a BEGIN or END line',
    remedy: 'Wait until the file is written, or copy it again; each certificate begins on a line of its own.',
  }
  return undefined
}

function* readText(file: string, path: string, readFile: ReadFile): Found<string> {
  try {
    return readFile(file)
  } catch {
    yield {
      path,
      problem: 'names a file that cannot be read',
      remedy: `Check that ${file} exists and that this user may read it.`,
    }
    return undefined
  }
}

/** RFC 7518 §3: each algorithm goes with one kind of key; RSA keys have at least 2048 bits. */
function* algorithmCheck(key: KeyObject | undefined, algorithm: string, path: string): Iterable<CrossProblem> {
  if (key === undefined) return
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key
  if (type === 'rsa' && (details?.modulusLength ?? 0) < 2048) {
    yield { path, problem: 'is an RSA key of less than 2048 bits', remedy: 'Make a longer one.' }
  }
  const fits =
    algorithm === 'ES256'
      ? type === 'ec' && details?.namedCurve === 'prime256v1'
      : algorithm === 'EdDSA'
        ? type === 'ed25519'
        : type === 'rsa'
  if (fits) return
  yield {
    path,
    problem: `is not a key for ${algorithm}`,
    remedy:
      'Change client.algorithm, or give a P-256 key for ES256, an Ed25519 key for EdDSA, an RSA key for the others.',
    given: ['client.algorithm'],
  }
}
