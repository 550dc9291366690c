import { readFileSync } from 'node:fs'
import type { Clock } from '../shared/clock.ts'
import type { ConfigCheck, CrossProblem } from '../shared/config/checks/check.ts'
import { isHalfReplaced, type ListenerFiles, listenerFileCheck } from '../shared/config/checks/listener-files.ts'
import { type FollowedFile, followFile } from '../shared/config/followed-file.ts'
import { ConfigError } from '../shared/config/problem.ts'
import type { Config } from '../shared/config/schema.ts'
import { certificateExpirySeconds } from '../shared/crypto/certificate.ts'
import { failureCode } from '../shared/failure-code.ts'
import {
  secureContextOptions,
  type ServerCertificate,
  type ServerCertificateSource,
} from '../shared/http/server-certificate.ts'
import type { CertificateInUse } from '../shared/observe/metrics.ts'
import { failureText } from './failure.ts'
import type { Following } from './load-keys.ts'
import { type Mode, listeningPart } from './parts.ts'

/** The sections of the settings that may name a certificate. */
type Part = ReturnType<typeof listeningPart>

/** The files of a certificate by their path; what cannot be read has no text. */
type FileTexts = Readonly<Record<string, string | undefined>>

/**
 * Opens the certificate with which `mode` listens, which from then on follows its files; undefined without TLS.
 *
 * Throws ConfigError for files that cannot be used.
 */
export async function openCertificate(
  config: Config,
  mode: Mode,
  { clock, observe, say }: Following,
): Promise<FollowedFile<ServerCertificate> | undefined> {
  const part = listeningPart(mode)
  const files = certificateFiles(config, part)
  if (files === undefined) return undefined
  return followFile({
    part: 'certificate',
    clock,
    observe,
    read: () => Promise.resolve(readTexts(files)),
    parse(texts) {
      const problems = [...problemsOf(files, texts, part, clock)]
      if (problems.length > 0) throw new ConfigError(problems)
      return certificateOf(files, texts)
    },
    isHalfReplaced: (texts) => isHalfReplaced(files, (file) => textOf(texts, file)),
    onRejected: (error) => say(`The changed certificate is not used.\n${failureText(error)}`),
  })
}

/** The certificates of a listener and of its authorities as the metrics tell of them; none without TLS. */
export function listenerCertificates(source: ServerCertificateSource | undefined): readonly CertificateInUse[] {
  if (source === undefined) return []
  const { certificate, clientCa } = source.current()
  const told = (file: CertificateInUse['file'], pem: string): CertificateInUse => ({
    file,
    shownTo: 'gateway',
    expiresAtSeconds: certificateExpirySeconds(pem),
  })
  return [told('certificate', certificate), ...(clientCa === undefined ? [] : [told('client_ca', clientCa)])]
}

/** Finds files with which `mode` cannot serve TLS; without a mode, those of agent and proxy. */
export function certificateCheck(mode: Mode | undefined, clock: Pick<Clock, 'nowMs'>): ConfigCheck {
  return function* (config) {
    for (const part of partsOf(mode)) {
      const files = certificateFiles(config, part)
      if (files !== undefined) yield* problemsOf(files, readTexts(files), part, clock)
    }
  }
}

/** The sections that say where `mode` listens; without a mode, where any process does. */
export function partsOf(mode: Mode | undefined): readonly Part[] {
  return mode === undefined ? ['agent', 'proxy'] : [listeningPart(mode)]
}

/** The files with which a section asks for TLS; undefined where it does not. */
export function certificateFiles(config: Config, part: Part): ListenerFiles | undefined {
  const { certificateFile, privateKeyFile, clientCaFile } = config[part].listen
  // One without the other is refused among the settings.
  if (certificateFile === undefined || privateKeyFile === undefined) return undefined
  return { certificateFile, privateKeyFile, clientCaFile }
}

function readTexts({ certificateFile, privateKeyFile, clientCaFile }: ListenerFiles): FileTexts {
  const files = [certificateFile, privateKeyFile, ...(clientCaFile === undefined ? [] : [clientCaFile])]
  return Object.fromEntries(files.map((file) => [file, readText(file)]))
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}

function* problemsOf(
  files: ListenerFiles,
  texts: FileTexts,
  part: Part,
  clock: Pick<Clock, 'nowMs'>,
): Iterable<CrossProblem> {
  const prefix = `${part}.listen.`
  const found = [...listenerFileCheck(files, prefix, (file) => textOf(texts, file), clock.nowMs())]
  yield* found
  if (found.length > 0) return
  try {
    const { createSecureContext } = process.getBuiltinModule('node:tls')
    createSecureContext(secureContextOptions(certificateOf(files, texts)))
  } catch (cause) {
    const code = failureCode(cause) ?? 'unknown'
    yield {
      path: `${prefix}certificate_file`,
      problem: `holds a certificate or chain with which TLS cannot be served (${code})`,
      remedy:
        'Give a chain in PEM, the certificate itself first, with keys of at least 2048 bits (RSA) or 224 bits (EC).',
    }
  }
}

function certificateOf({ certificateFile, privateKeyFile, clientCaFile }: ListenerFiles, texts: FileTexts) {
  return {
    certificate: textOf(texts, certificateFile),
    privateKey: textOf(texts, privateKeyFile),
    clientCa: clientCaFile === undefined ? undefined : textOf(texts, clientCaFile),
  }
}

function textOf(texts: FileTexts, file: string): string {
  const text = texts[file]
  if (text === undefined) throw new Error('a file that cannot be read')
  return text
}
