import { readFileSync, statSync } from 'node:fs'
import type { Clock } from '../../shared/clock.ts'
import type { Config } from '../../shared/config/schema.ts'
import { certificateExpirySeconds, certificatesOf } from '../../shared/crypto/certificate.ts'
import { certificateCheck, certificateFiles, partsOf } from '../load-certificate.ts'
import type { Mode } from '../parts.ts'
import { error, type Finding, ok, warning } from './finding.ts'
import { type KeyReader, readersFinding } from './key-checks.ts'
import { asksProvider } from './provider-use.ts'

const soonDays = 14
const daySeconds = 86_400

/**
 * Every certificate that is shown to somebody, and the authorities of clients: whether they can be used and for how long;
 * and who may read their keys, and those with which the client signs.
 */
export function* certificateChecks(config: Config, reader: KeyReader): Iterable<Finding> {
  yield* listenerChecks(config, reader)
  for (const each of clientCertificates(config, reader.mode)) yield* clientCertificateChecks(each, reader)
  for (const file of signingKeyFiles(config, reader.mode)) {
    yield readersFinding('client.private_key', file, statSync(file), reader.userId)
  }
}

/** The certificates with which agent and proxy listen. */
function* listenerChecks(config: Config, { clock, mode, userId }: KeyReader): Iterable<Finding> {
  const problems = [...certificateCheck(mode, clock)(config)]
  for (const { path, problem, remedy } of problems) yield error('listen.certificate', `${path} ${problem}`, remedy)
  if (problems.length > 0) return
  const listener = {
    check: 'listen.certificate',
    taken: 'the new files are taken without a restart',
    whenOver: warning,
  }
  for (const part of partsOf(mode)) {
    const files = certificateFiles(config, part)
    if (files === undefined) continue
    const setting = `${part}.listen.certificate_file`
    yield validityFinding({ ...listener, setting, file: files.certificateFile, renewal: 'Renew it' }, clock)
    if (files.clientCaFile !== undefined) {
      const renewal = 'Add the authority that follows it, or remove it once no gateway needs it'
      const authorities = { setting: `${part}.listen.client_ca_file`, file: files.clientCaFile, renewal }
      yield validityFinding({ ...listener, ...authorities, isOfAuthorities: true }, clock)
    }
    yield readersFinding('listen.private_key', files.privateKeyFile, statSync(files.privateKeyFile), userId)
  }
}

/** A certificate with which we connect to others. */
interface ClientCertificate {
  readonly of: 'client' | 'upstream'
  readonly setting: string
  readonly certificateFile: string
  readonly privateKeyFile: string
  readonly taken: string
}

/** Those that such a process shows; several routes may share one. */
function clientCertificates({ client, proxy }: Config, mode: Mode | undefined): readonly ClientCertificate[] {
  const found = new Map<string, ClientCertificate>()
  if ('certificateFile' in client && asksProvider({ proxy }, mode)) {
    const { certificateFile, privateKeyFile } = client
    const taken = 'the new files are taken at a restart'
    found.set('client', { of: 'client', setting: 'client.certificate_file', certificateFile, privateKeyFile, taken })
  }
  for (const [index, route] of (mode === 'agent' ? [] : proxy.routes).entries()) {
    const { clientCertificateFile: certificateFile, clientPrivateKeyFile: privateKeyFile } = route
    if (certificateFile === undefined || privateKeyFile === undefined || found.has(certificateFile)) continue
    const setting = `proxy.routes[${index}].client_certificate_file`
    const taken = 'the new files are taken at a SIGHUP'
    found.set(certificateFile, { of: 'upstream', setting, certificateFile, privateKeyFile, taken })
  }
  return [...found.values()]
}

/** The keys of `private_key_jwt` that such a process reads: the present one, and the next. */
function signingKeyFiles({ client, proxy }: Config, mode: Mode | undefined): readonly string[] {
  if (client.authentication !== 'private_key_jwt' || !asksProvider({ proxy }, mode)) return []
  const { privateKeyFile, nextPrivateKeyFile } = client
  return nextPrivateKeyFile === undefined ? [privateKeyFile] : [privateKeyFile, nextPrivateKeyFile]
}

function* clientCertificateChecks(shown: ClientCertificate, { clock, userId }: KeyReader): Iterable<Finding> {
  const { of, setting, certificateFile, privateKeyFile, taken } = shown
  const check = `${of}.certificate`
  yield validityFinding({ check, setting, file: certificateFile, renewal: 'Renew it', taken, whenOver: error }, clock)
  yield readersFinding(`${of}.private_key`, privateKeyFile, statSync(privateKeyFile), userId)
}

interface JudgedFile {
  readonly check: string
  readonly setting: string
  readonly file: string
  /** What to do where it ends soon. */
  readonly renewal: string
  /** When a new file counts. */
  readonly taken: string
  /** How bad it is that one of its certificates has expired. */
  readonly whenOver: typeof error
  /** Whether one of its certificates does by itself; those of the time to come may be among them. */
  readonly isOfAuthorities?: boolean
}

/** How long every certificate of a file is valid. */
function validityFinding(judged: JudgedFile, clock: Pick<Clock, 'nowMs' | 'nowSeconds'>): Finding {
  const { check, setting, file, renewal, taken, whenOver, isOfAuthorities = false } = judged
  const text = readFileSync(file, 'utf8')
  const certificates = certificatesOf(text)
  const early = certificates.filter(({ validFromDate }) => validFromDate.getTime() > clock.nowMs())
  const [first] = early
  if (first !== undefined && (!isOfAuthorities || early.length === certificates.length)) {
    return error(
      check,
      `${setting} holds a certificate that is not valid before ${first.validFromDate.toISOString()}`,
      `Give one that is valid now, or set the clock of this machine right (NTP); ${taken}.`,
    )
  }
  const days = Math.floor((certificateExpirySeconds(text) - clock.nowSeconds()) / daySeconds)
  if (days >= soonDays) return ok(check, `${setting} is valid for ${days} days`)
  const isOver = days < 0
  return (isOver ? whenOver : warning)(
    check,
    `${setting} holds a certificate that ${isOver ? 'has expired' : `expires in ${days} days`}`,
    `${renewal}; ${taken}.`,
  )
}
