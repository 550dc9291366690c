import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import type { Clock } from '../shared/clock.ts'
import type { ConfigCheck } from '../shared/config/checks/check.ts'
import { type FollowedFile, followFile } from '../shared/config/followed-file.ts'
import { ConfigError } from '../shared/config/problem.ts'
import type { Config } from '../shared/config/schema.ts'
import {
  agentPurposes,
  type KeyRing,
  missingPurposes,
  parseKeyRing,
  proofPurposes,
  proxyPurposes,
} from '../shared/crypto/key-ring.ts'
import { failureCode } from '../shared/failure-code.ts'
import type { Observe } from '../shared/observe/events.ts'
import { failureText } from './failure.ts'
import type { Mode } from './parts.ts'

/** What following a file takes. */
export interface Following {
  readonly clock: Clock
  readonly observe: Observe
  /** Where the problems of a refused file are reported. */
  readonly say: (text: string) => void
}

/** The settings that say which keys are needed, and where they are. */
export type KeySettings = Pick<Config, 'keys' | 'client'>

/** Opens the key ring, which from then on follows its file; throws ConfigError for a ring that `mode` cannot use. */
export function openKeys(
  { keys: { file }, client }: KeySettings,
  mode: Mode,
  { clock, observe, say }: Following,
): Promise<FollowedFile<KeyRing>> {
  return followFile({
    part: 'keys',
    clock,
    observe,
    read: () => readText(file),
    parse: (text) => parseFor(mode, client, text),
    about: (ring) => ({ key_id: ring.primaryKeyId }),
    onRejected: (error) => say(`The changed key ring is not used.\n${failureText(error)}`),
  })
}

/** The key ring as it is now; throws ConfigError for one that `mode` cannot use; without a mode, that no process can use. */
export function readKeys({ keys: { file }, client }: KeySettings, mode: Mode | undefined): KeyRing {
  return parseFor(mode, client, readTextNow(file))
}

/** Finds a key ring that `mode` cannot use; without a mode, one that no process can use. */
export function keyCheck(mode: Mode | undefined): ConfigCheck {
  return function* (config) {
    try {
      readKeys(config, mode)
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      for (const problem of error.problems) yield { ...problem, given: ['keys.file'] }
    }
  }
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    throw unreadable(file, cause)
  }
}

function readTextNow(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw unreadable(file, cause)
  }
}

function unreadable(file: string, cause: unknown): ConfigError {
  const code = failureCode(cause) ?? 'unknown'
  return new ConfigError([
    {
      path: 'keys.file',
      problem: `${file} cannot be read (${code})`,
      remedy:
        code === 'ENOENT'
          ? `Make one with \`token-handler keys generate ${file}\`, or correct the path.`
          : 'Check that it is a file and that this user may read it.',
    },
  ])
}

function parseFor(mode: Mode | undefined, client: KeySettings['client'], text: string): KeyRing {
  const ring = parse(text)
  // What a proxy needs is part of what every other process needs.
  const usual = mode === undefined || mode === 'proxy' ? proxyPurposes : agentPurposes
  const missing = missingPurposes(ring, client.dpopBoundAccessTokens ? [...usual, ...proofPurposes] : usual)
  if (missing.length === 0) return ring
  if (missing.every((purpose) => proofPurposes.includes(purpose))) {
    throw new ConfigError([
      {
        path: 'keys.file',
        problem: `has no keys for ${missing.join(', ')}, which client.dpop_bound_access_tokens needs`,
        remedy: 'Derive it again with `token-handler keys derive --dpop`.',
      },
    ])
  }
  throw new ConfigError([
    {
      path: 'keys.file',
      problem: `has no keys for ${missing.join(', ')}, which ${mode ?? 'every process'} needs`,
      remedy: 'It was derived for another process. Give this one the ring itself, or derive again.',
    },
  ])
}

function parse(text: string): KeyRing {
  try {
    return parseKeyRing(text)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    throw new ConfigError(
      error.problems.map((problem) => ({ ...problem, path: `keys.file ${problem.path}`.trimEnd() })),
    )
  }
}
