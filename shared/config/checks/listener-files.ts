import { createPrivateKey, X509Certificate } from 'node:crypto'
import type { CrossProblem } from './check.ts'
import { isUnfinishedPem } from '../../crypto/certificate.ts'
import type { ReadFile } from '../../read-file.ts'
import { type CertificatePair, pairCheck } from './files.ts'
import { createSettingFileReading, parseAuthorities } from './pem-files.ts'

/** The files that a listener for TLS names. */
export interface ListenerFiles extends CertificatePair {
  readonly clientCaFile?: string | undefined
}

/** What is wrong with the files of a listener at `nowMs`; `prefix` is what precedes the names of their settings. */
export function* listenerFileCheck(
  files: ListenerFiles,
  prefix: string,
  readFile: ReadFile,
  nowMs: number,
): Iterable<CrossProblem> {
  const read = createSettingFileReading(readFile)
  const certificate = yield* pairCheck(prefix, files, read)
  if (certificate !== undefined && isExpired(certificate, nowMs)) {
    yield {
      path: `${prefix}certificate_file`,
      problem: `holds a certificate that expired at ${certificate.validToDate.toISOString()}`,
      remedy: 'Renew it; the new files are taken without a restart.',
    }
  }
  if (files.clientCaFile === undefined) return
  const path = `${prefix}client_ca_file`
  const authorities = yield* read(path, files.clientCaFile, parseAuthorities)
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
