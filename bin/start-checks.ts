import { accessSync, constants, statSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Clock } from '../shared/clock.ts'
import type { ConfigCheck } from '../shared/config/checks/check.ts'
import type { Problem } from '../shared/config/problem.ts'
import { certificateCheck } from './load-certificate.ts'
import { keyCheck } from './load-keys.ts'
import type { Mode } from './parts.ts'

/** What a start looks at beyond the settings themselves: its key ring, its certificate and its audit file. */
export function startChecks(mode: Mode | undefined, clock: Pick<Clock, 'nowMs'>): readonly ConfigCheck[] {
  return [keyCheck(mode), certificateCheck(mode, clock), auditCheck]
}

/** What is said of an audit file that cannot be had. */
export function auditFileProblem(file: string): Problem {
  return {
    path: 'observability.audit_file',
    problem: 'names a file that cannot be written',
    remedy: `Check that the folder of ${file} exists and that this user may write there; a pipe needs somebody who reads it.`,
  }
}

const auditCheck: ConfigCheck = function* ({ observability: { auditFile } }) {
  if (auditFile !== undefined && !canAppend(auditFile)) yield auditFileProblem(auditFile)
}

/** Asks for permission only: a check must leave no file behind. */
function canAppend(file: string): boolean {
  try {
    const found = statSync(file, { throwIfNoEntry: false })
    if (found !== undefined) {
      accessSync(file, constants.W_OK)
      return !found.isDirectory()
    }
    const folder = dirname(file)
    accessSync(folder, constants.W_OK | constants.X_OK)
    return statSync(folder).isDirectory()
  } catch {
    return false
  }
}
