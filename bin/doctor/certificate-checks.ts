import { readFileSync, statSync } from 'node:fs'
import type { Clock } from '../../shared/clock.ts'
import type { Config } from '../../shared/config/schema.ts'
import { certificateExpirySeconds } from '../../shared/crypto/certificate.ts'
import { certificateCheck, certificateFiles, partsOf } from '../load-certificate.ts'
import { error, type Finding, ok, warning } from './finding.ts'
import { type KeyReader, readersFinding } from './key-checks.ts'

const soonDays = 14
const daySeconds = 86_400

/** The certificates with which agent and proxy listen, and the authorities of their clients: whether they can be used, for how long, and who may read the keys. */
export function* certificateChecks(config: Config, { clock, mode, userId }: KeyReader): Iterable<Finding> {
  const problems = [...certificateCheck(mode, clock)(config)]
  for (const { path, problem, remedy } of problems) yield error('listen.certificate', `${path} ${problem}`, remedy)
  if (problems.length > 0) return
  for (const part of partsOf(mode)) {
    const files = certificateFiles(config, part)
    if (files === undefined) continue
    yield expiryFinding(`${part}.listen.certificate_file`, files.certificateFile, 'Renew it', clock)
    if (files.clientCaFile !== undefined) {
      const remedy = 'Add the authority that follows it, or remove it once no gateway needs it'
      yield expiryFinding(`${part}.listen.client_ca_file`, files.clientCaFile, remedy, clock)
    }
    yield readersFinding('listen.private_key', files.privateKeyFile, statSync(files.privateKeyFile), userId)
  }
}

/** How long every certificate of a file is valid. */
function expiryFinding(setting: string, file: string, remedy: string, clock: Pick<Clock, 'nowSeconds'>): Finding {
  const days = Math.floor((certificateExpirySeconds(readFileSync(file, 'utf8')) - clock.nowSeconds()) / daySeconds)
  if (days >= soonDays) return ok('listen.certificate', `${setting} is valid for ${days} days`)
  return warning(
    'listen.certificate',
    `${setting} holds a certificate that ${days < 0 ? 'has expired' : `expires in ${days} days`}`,
    `${remedy}; the new files are taken without a restart.`,
  )
}
