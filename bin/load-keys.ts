import { readFileSync } from 'node:fs'
import { ConfigError } from '../shared/config/problem.ts'
import { type KeyRing, agentPurposes, missingPurposes, parseKeyRing, proxyPurposes } from '../shared/crypto/key-ring.ts'
import type { Mode } from './parts.ts'

/** Reads the key ring and checks that it has what the mode needs; throws ConfigError. */
export function loadKeys(file: string, mode: Mode): KeyRing {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch {
    throw new ConfigError([
      {
        path: 'keys.file',
        problem: `${file} cannot be read`,
        remedy: `Make one with \`token-handler keys generate ${file}\`, or let this user read it.`,
      },
    ])
  }
  const ring = parse(text)
  const missing = missingPurposes(ring, mode === 'proxy' ? proxyPurposes : agentPurposes)
  if (missing.length === 0) return ring
  throw new ConfigError([
    {
      path: 'keys.file',
      problem: `has no keys for ${missing.join(', ')}, which ${mode} needs`,
      remedy: 'It was derived for another process. Give this one the ring itself, or derive again.',
    },
  ])
}

function parse(text: string): KeyRing {
  try {
    return parseKeyRing(text)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    const problems = error.problems.map((problem) => ({
      ...problem,
      path: ['keys.file', problem.path].filter(Boolean).join(' '),
    }))
    throw new ConfigError(problems)
  }
}
