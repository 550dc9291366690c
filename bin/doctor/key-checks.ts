import { readFileSync, type Stats, statSync } from 'node:fs'
import type { Clock } from '../../shared/clock.ts'
import type { Config } from '../../shared/config/schema.ts'
import { type ListedKey, listKeys } from '../../shared/crypto/key-ring-edit.ts'
import { parseKeyRingFile } from '../../shared/crypto/key-ring-file.ts'
import { proofPurposes, proxyPurposes } from '../../shared/crypto/key-ring.ts'
import type { Purpose } from '../../shared/crypto/purpose-keys.ts'
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
/** All that any proxy could need. */
const mostOfProxies: readonly Purpose[] = [...proxyPurposes, ...proofPurposes]

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
  if (primary !== undefined) yield ageFinding(primary, listed.length, clock)
}

const dayMs = 86_400_000
/** RFC 3339 §5.6. */
const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/i

/** How old the key is that seals; since when it does, the ring does not say. */
function ageFinding({ id, createdAt }: ListedKey, count: number, clock: Pick<Clock, 'nowMs'>): Finding {
  const check = 'keys.age'
  if (!time.test(createdAt)) {
    return warning(
      check,
      `key ${id} does not say when it was made`,
      'Write a time such as 2026-01-31T12:00:00Z as its created_at, or rotate.',
    )
  }
  const days = Math.floor((clock.nowMs() - Date.parse(createdAt)) / dayMs)
  // Clocks of two machines may differ by a little.
  if (days < -1) {
    return warning(
      check,
      `key ${id} was made ${-days} days from now`,
      'Set the clock of this machine right (NTP), or correct its created_at.',
    )
  }
  if (days <= oldDays) return ok(check, `key ${id}, ${Math.max(days, 0)} days old; ${count} in the ring`)
  return warning(check, `key ${id} seals and is ${days} days old`, 'Rotate: docs/operations.md, "Rotating keys".')
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

/** A proxy that can open refresh tokens is worth as much to an intruder as an agent; one that can prove needs a reason to. */
function purposeFinding({ keys: { file }, client }: Config, listed: readonly ListedKey[]): Finding {
  const further = purposesBeyond(listed, client.dpopBoundAccessTokens ? mostOfProxies : proxyPurposes)
  if (further.length === 0) return ok('keys.purposes', 'opens what a proxy needs, and nothing else')
  const option = client.dpopBoundAccessTokens ? '--dpop ' : ''
  const isOfAgents = purposesBeyond(listed, mostOfProxies).length > 0
  return warning(
    'keys.purposes',
    isOfAgents
      ? `is the ring of the agents: it also opens ${further.join(', ')}`
      : `is also good for ${further.join(', ')}, which no process needs as long as client.dpop_bound_access_tokens is off`,
    `Give proxies a ring made with \`token-handler keys derive ${option}${file} <output>\`.`,
  )
}

/** What the ring in this file opens beyond what a proxy needs; nothing for a file that is no ring or is kept elsewhere. */
export function furtherPurposes(file: string): string[] {
  try {
    return purposesBeyond(listKeys(parseKeyRingFile(readFileSync(file, 'utf8'))), mostOfProxies)
  } catch {
    return []
  }
}

function purposesBeyond(listed: readonly ListedKey[], needed: readonly Purpose[]): Purpose[] {
  return [...new Set(listed.flatMap(({ purposes }) => purposes).filter((each) => !needed.includes(each)))]
}
