import { X509Certificate } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import type { Config } from '../../shared/config/schema.ts'
import { certificateCheck, certificateFiles, partsOf } from '../load-certificate.ts'
import { error, type Finding, ok, warning } from './finding.ts'
import { type KeyReader, readersFinding } from './key-checks.ts'

const soonDays = 14
const dayMs = 86_400_000

/** The certificates with which agent and proxy listen: whether they can be used, for how long, and who may read the keys. */
export function* certificateChecks(config: Config, { clock, mode, userId }: KeyReader): Iterable<Finding> {
  const problems = [...certificateCheck(mode, clock)(config)]
  for (const { path, problem, remedy } of problems) yield error('listen.certificate', `${path} ${problem}`, remedy)
  if (problems.length > 0) return
  for (const part of partsOf(mode)) {
    const files = certificateFiles(config, part)
    if (files === undefined) continue
    const { validToDate } = new X509Certificate(readFileSync(files.certificateFile))
    const days = Math.floor((validToDate.getTime() - clock.nowMs()) / dayMs)
    yield days < soonDays
      ? warning(
          'listen.certificate',
          `that of ${part}.listen expires in ${days} days`,
          'Renew it; the new files are taken without a restart.',
        )
      : ok('listen.certificate', `that of ${part}.listen is valid for ${days} days`)
    yield readersFinding('listen.private_key', files.privateKeyFile, statSync(files.privateKeyFile), userId)
  }
}
