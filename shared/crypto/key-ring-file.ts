import { createSecretKey, type KeyObject } from 'node:crypto'
import { ConfigError, type Problem } from '../config/problem.ts'
import { isJsonObject } from '../json-object.ts'
import { type Purpose, deriveKeyId, purposes } from './purpose-keys.ts'
import { keyWeakness } from './weak-keys.ts'

/** One key of a ring; `master` opens every purpose, `purposeKeys` only those it lists. */
export interface KeyEntry {
  /** 8 hex characters, derived from the master key. */
  readonly id: string
  /** RFC 3339 time, for people; nothing depends on it. */
  readonly createdAt: string
  readonly material:
    | { readonly kind: 'master'; readonly master: KeyObject }
    | { readonly kind: 'derived'; readonly purposeKeys: Readonly<Partial<Record<Purpose, KeyObject>>> }
}

/** Keys in order: the first seals, all open. */
export type KeyEntries = readonly KeyEntry[]

const remedies = {
  json: 'Make a key ring with `token-handler keys generate`.',
  version: 'This software reads version 1 only.',
  key: 'Replace it with a key made by `token-handler keys generate`; do not type keys by hand.',
  field: 'Compare with a file made by `token-handler keys generate`.',
} as const

/**
 * Reads the text of a key ring file.
 *
 * Throws ConfigError with every problem found; problems name the place and never the value (A12).
 */
export function parseKeyRingFile(text: string): KeyEntries {
  const problems: Problem[] = []
  const refuse = (path: string, problem: string, remedy: keyof typeof remedies): undefined => {
    problems.push({ path, problem, remedy: remedies[remedy] })
    return undefined
  }

  const file = parseJson(text)
  if (!isJsonObject(file)) throw new ConfigError([{ path: '', problem: 'is not a JSON object', remedy: remedies.json }])
  if (file.version !== 1) refuse('version', 'must be 1', 'version')
  refuseUnknown(file, ['version', 'keys'], '')
  if (!Array.isArray(file.keys) || file.keys.length === 0) refuse('keys', 'must be a list of at least one key', 'json')
  const list: unknown[] = Array.isArray(file.keys) ? file.keys : []
  const entries = list.flatMap((item, index) => parseEntry(item, `keys[${index}]`) ?? [])
  if (entries.length === list.length) {
    entries.forEach(({ id }, index) => {
      if (entries.findIndex((other) => other.id === id) < index) refuse(`keys[${index}].id`, 'occurs twice', 'field')
    })
  }
  if (problems.length > 0) throw new ConfigError(problems)
  return entries

  function refuseUnknown(object: object, known: readonly string[], path: string): void {
    for (const name of Object.keys(object)) {
      // A key pasted in the wrong place can be a name.
      const shown = /^[a-z_]{1,20}$/.test(name) ? `"${name}"` : '(a name that is not shown)'
      if (!known.includes(name)) refuse(`${path}${shown}`, 'is not known here', 'field')
    }
  }

  function parseEntry(entry: unknown, path: string): KeyEntry | undefined {
    if (!isJsonObject(entry)) return refuse(path, 'must be an object', 'field')
    refuseUnknown(entry, ['id', 'created_at', 'master', 'derived'], `${path}.`)
    const { id, created_at: createdAt } = entry
    if (typeof id !== 'string' || !/^[0-9a-f]{8}$/.test(id)) {
      return refuse(`${path}.id`, 'must be 8 lower-case hex characters', 'field')
    }
    if (typeof createdAt !== 'string' || Number.isNaN(Date.parse(createdAt))) {
      return refuse(`${path}.created_at`, 'must be a time such as 2026-01-31T12:00:00Z', 'field')
    }
    if ((entry.master === undefined) === (entry.derived === undefined)) {
      return refuse(path, 'must have either "master" or "derived"', 'field')
    }
    if (entry.master === undefined) {
      const purposeKeys = parseDerived(entry.derived, `${path}.derived`)
      return purposeKeys && { id, createdAt, material: { kind: 'derived', purposeKeys } }
    }
    const master = parseKey(entry.master, `${path}.master`)
    if (master === undefined) return undefined
    // Two files that give one id to different keys would make an old cookie look forged, or a forged one old.
    if (deriveKeyId(master) !== id) return refuse(`${path}.id`, 'does not belong to this key', 'field')
    return { id, createdAt, material: { kind: 'master', master } }
  }

  function parseDerived(item: unknown, path: string): Partial<Record<Purpose, KeyObject>> | undefined {
    if (!isJsonObject(item) || Object.keys(item).length === 0) {
      return refuse(path, 'must be an object with at least one key', 'field')
    }
    refuseUnknown(item, purposes, `${path}.`)
    const found: Partial<Record<Purpose, KeyObject>> = {}
    for (const purpose of purposes) {
      if (!Object.hasOwn(item, purpose)) continue
      const key = parseKey(item[purpose], `${path}.${purpose}`)
      if (key !== undefined) found[purpose] = key
    }
    return found
  }

  function parseKey(value: unknown, path: string): KeyObject | undefined {
    if (typeof value !== 'string' || !/^[0-9a-f]{64}$/.test(value)) {
      return refuse(path, 'must be exactly 64 lower-case hex characters (32 bytes)', 'key')
    }
    const bytes = Buffer.from(value, 'hex')
    const weakness = keyWeakness(bytes)
    if (weakness !== undefined) return refuse(path, weakness, 'key')
    return createSecretKey(bytes)
  }
}

/** The text of a key ring file, secrets included. */
export function formatKeyRingFile(entries: KeyEntries): string {
  const keys = entries.map(({ id, createdAt, material }) => ({
    id,
    created_at: createdAt,
    ...(material.kind === 'master'
      ? { master: material.master.export().toString('hex') }
      : {
          derived: Object.fromEntries(
            purposes.flatMap((purpose) => {
              const key = material.purposeKeys[purpose]
              return key === undefined ? [] : [[purpose, key.export().toString('hex')]]
            }),
          ),
        }),
  }))
  return `${JSON.stringify({ version: 1, keys }, null, 2)}\n`
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // The exception quotes the text, which holds keys; that it is not JSON is all that may be said.
    return undefined
  }
}
