import { readFileSync, type Stats, statSync } from 'node:fs'
import type { Clock } from '../../shared/clock.ts'
import type { Config } from '../../shared/config/schema.ts'
import { type ListedKey, listKeys } from '../../shared/crypto/key-ring-edit.ts'
import { parseKeyRingFile } from '../../shared/crypto/key-ring-file.ts'
import { proofPurposes, proxyPurposes } from '../../shared/crypto/key-ring.ts'
import { keyCheck } from '../load-keys.ts'
import type { Mode } from '../parts.ts'
import { error, type Finding, ok, warning } from './finding.ts'

/** Who looks at keys and certificates, and for what. */
export interface KeyReader {
  readonly clock: Clock
  /** The process that is to use them; any if absent. */
  readonly mode?: Mode | undefined
  /** Numeric id of the user; undefined where the system has none. */
  readonly userId: number | undefined
}

const oldDays = 90

/** The key ring file: whether it can be used, who may read it, what it opens, how old its keys are. */
export function* keyChecks(config: Config, { clock, mode, userId }: KeyReader): Iterable<Finding> {
  const { file } = config.keys
  const problems = [...keyCheck(mode)(config)]
  for (const { path, problem, remedy } of problems) {
    const place = path.replace(/^keys\.file ?/, '')
    yield error('keys.file', `${place} ${problem}`.trimStart(), remedy)
  }
  if (problems.length > 0) return
  yield readersFinding('keys.file', file, statSync(file), userId)
  const listed = listKeys(parseKeyRingFile(readFileSync(file, 'utf8')))
  if (mode === 'proxy') yield purposeFinding(config, listed)
  const [primary] = listed
  if (primary === undefined) return
  const days = Math.floor((clock.nowMs() - Date.parse(primary.createdAt)) / 86_400_000)
  yield days > oldDays
    ? warning(
        'keys.age',
        `key ${primary.id} has sealed for ${days} days`,
        'Rotate: docs/operations.md, "Rotating keys".',
      )
    : ok('keys.age', `key ${primary.id}, ${days} days old; ${listed.length} in the ring`)
}

/**
 * Whether more users than need it may read the file.
 *
 * A group is how a process reads a file that another user owns, such as a mounted secret (root's, mode 0440); whoever
 * owns the file needs no group, and root can be kept from nothing.
 */
export function readersFinding(
  check: string,
  file: string,
  { mode, uid }: Pick<Stats, 'mode' | 'uid'>,
  userId: number | undefined,
): Finding {
  const needsGroup = uid === 0 || uid !== userId
  const tooMany = needsGroup ? 0o007 : 0o077
  if ((mode & tooMany) === 0) return ok(check, 'only those who need it may read it')
  const octal = (mode & 0o777).toString(8)
  return warning(check, `others may read it (mode ${octal})`, `chmod ${needsGroup ? 'o=' : 'go='} ${file}`)
}

/** A proxy that can open refresh tokens is worth as much to an intruder as an agent. */
function purposeFinding({ keys: { file }, client }: Config, listed: readonly ListedKey[]): Finding {
  const further = beyondProxies(listed)
  if (further.length === 0) return ok('keys.purposes', 'opens what a proxy needs, and nothing else')
  const option = client.dpopBoundAccessTokens ? '--dpop ' : ''
  return warning(
    'keys.purposes',
    `is the ring of the agents: it also opens ${further.join(', ')}`,
    `Give proxies a ring made with \`token-handler keys derive ${option}${file} <output>\`.`,
  )
}

/** What the ring in this file opens beyond what a proxy needs; nothing for a file that is no ring or is kept elsewhere. */
export function furtherPurposes(file: string): string[] {
  try {
    return beyondProxies(listKeys(parseKeyRingFile(readFileSync(file, 'utf8'))))
  } catch {
    return []
  }
}

function beyondProxies(listed: readonly ListedKey[]): string[] {
  const ofProxies = [...proxyPurposes, ...proofPurposes]
  return [...new Set(listed.flatMap(({ purposes }) => purposes).filter((each) => !ofProxies.includes(each)))]
}
