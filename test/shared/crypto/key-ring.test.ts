import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { ConfigError } from '../../../shared/config/problem.ts'
import {
  deriveKeyRing,
  generateKeyRing,
  KeyRingEditError,
  listKeys,
  promoteKey,
  removeKey,
  rotateKeyRing,
} from '../../../shared/crypto/key-ring-edit.ts'
import { formatKeyRingFile, parseKeyRingFile } from '../../../shared/crypto/key-ring-file.ts'
import {
  agentPurposes,
  createKeyRing,
  missingPurposes,
  parseKeyRing,
  proofPurposes,
  proxyPurposes,
} from '../../../shared/crypto/key-ring.ts'
import { purposes, sealPurposes } from '../../../shared/crypto/purpose-keys.ts'
import { createManualClock } from '../../support/manual-clock.ts'
import vectors from '../../vectors/sealed-cookies.json' with { type: 'json' }

/** Bytes that differ with each call and are the same in each run. */
function deterministicRandom() {
  let calls = 0
  return (size: number) => createHash('shake128', { outputLength: size }).update(`${calls++}`).digest()
}

const maker = { random: deterministicRandom(), clock: createManualClock() }
const one = generateKeyRing(maker)
const two = rotateKeyRing(one, maker, 'now')
const idOf = (entries: typeof one, index: number) => entries[index]?.id ?? ''

describe('a key ring file', () => {
  it('says the same after writing and reading', () => {
    const text = formatKeyRingFile(two)
    expect(formatKeyRingFile(parseKeyRingFile(text))).toBe(text)
    const derived = formatKeyRingFile(deriveKeyRing(two, proxyPurposes))
    expect(formatKeyRingFile(parseKeyRingFile(derived))).toBe(derived)
  })

  it('gives equal keys equal ids, and no other', () => {
    const entry = JSON.parse(formatKeyRingFile(one)).keys[0]
    const renamed = JSON.stringify({ version: 1, keys: [{ ...entry, id: '00000000' }] })
    expect(() => parseKeyRing(renamed)).toThrow('keys[0].id: does not belong to this key')
  })

  const good = JSON.parse(formatKeyRingFile(one))
  const entry = good.keys[0]
  const withMaster = (master: unknown) => ({ version: 1, keys: [{ ...entry, master }] })
  it.each([
    ['nothing', '', ''],
    ['a list', '[]', ''],
    ['another version', { ...good, version: 2 }, 'version'],
    ['no keys', { version: 1, keys: [] }, 'keys'],
    ['an unknown member', { ...good, comment: 'x' }, '"comment"'],
    ['an unknown member of a key', { version: 1, keys: [{ ...entry, note: 'x' }] }, 'keys[0]."note"'],
    ['a key that is text', { version: 1, keys: ['x'] }, 'keys[0]'],
    ['a wrong id', { version: 1, keys: [{ ...entry, id: 'XYZ' }] }, 'keys[0].id'],
    ['a wrong time', { version: 1, keys: [{ ...entry, created_at: 'soon' }] }, 'keys[0].created_at'],
    ['both kinds of key', { version: 1, keys: [{ ...entry, derived: {} }] }, 'keys[0]'],
    ['the same key twice', { version: 1, keys: [entry, entry] }, 'keys[1].id'],
    [
      'an unknown purpose',
      { version: 1, keys: [{ id: entry.id, created_at: entry.created_at, derived: { root: entry.master } }] },
      'keys[0].derived."root"',
    ],
    [
      'no purpose',
      { version: 1, keys: [{ id: entry.id, created_at: entry.created_at, derived: {} }] },
      'keys[0].derived',
    ],
    [
      'an id that is not hex, where no master key can contradict it',
      { version: 1, keys: [{ id: 'no hex', created_at: entry.created_at, derived: { access: entry.master } }] },
      'keys[0].id',
    ],
  ])('refuses %s', (_, file, path) => {
    const text = typeof file === 'string' ? file : JSON.stringify(file)
    expect(problemsOf(text).map((problem) => problem.path)).toContain(path)
  })

  it.each([
    ['63 hex characters', entry.master.slice(1)],
    ['65 hex characters', `${entry.master}0`],
    ['64 characters that are not hex', 'z'.repeat(64)],
    ['upper-case hex', entry.master.toUpperCase()],
    ['32 ASCII characters', 'NF65meV>Ls#8GP>;!Cnov)rIPRoK^.NP'],
    ['the same 32 characters as hex', Buffer.from('NF65meV>Ls#8GP>;!Cnov)rIPRoK^.NP').toString('hex')],
    ['a line end', `${entry.master}\n`],
    ['zeros', '00'.repeat(32)],
    ['one byte repeated', 'ab'.repeat(32)],
    ['eight bytes repeated', '0123456789abcdef'.repeat(4)],
    ['eight bytes in disorder', entry.master.replace(/../g, (byte: string) => `0${Number.parseInt(byte, 16) % 8}`)],
    ['counting up', Buffer.from(Array.from({ length: 32 }, (_, i) => i)).toString('hex')],
    ['counting in threes', Buffer.from(Array.from({ length: 32 }, (_, i) => 255 - 3 * i)).toString('hex')],
    ['the example of NIST SP 800-38A', '603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4'],
    ['a number', 12],
  ])('refuses a weak key (A12): %s', (_, master) => {
    const found = problemsOf(JSON.stringify(withMaster(master)))
    expect(found.map((problem) => problem.path)).toEqual(['keys[0].master'])
    expect(JSON.stringify(found)).not.toContain(String(master).slice(0, 31))
  })

  const printed = [...vectors.key_ring.keys, ...vectors.proxy_key_ring.keys].flatMap((key) =>
    'derived' in key ? Object.values(key.derived) : [key.master],
  )
  it.each(printed)('refuses a key that the test vectors print (A13): %s', (key) => {
    expect(problemsOf(JSON.stringify(withMaster(key)))).toMatchObject([{ problem: 'is a published sample key' }])
  })

  it('names every problem at once', () => {
    const text = JSON.stringify({
      version: 3,
      keys: [
        { ...entry, id: 'x' },
        { ...entry, master: 'short' },
      ],
      more: 1,
    })
    expect(problemsOf(text)).toHaveLength(4)
  })

  it('is not quoted when a key stands where a name should', () => {
    const text = JSON.stringify({ ...good, [entry.master]: true })
    expect(problemsOf(text).map((problem) => problem.path)).toEqual(['(a name that is not shown)'])
  })

  it('is never quoted, even when it is not JSON', () => {
    const broken = formatKeyRingFile(one).slice(0, -4)
    expect(JSON.stringify(problemsOf(broken))).not.toContain(entry.master.slice(0, 8))
  })
})

describe('changing a ring', () => {
  it('stages a key so that it opens and does not seal (FI-08)', () => {
    const staged = rotateKeyRing(one, maker, 'stage')
    expect(createKeyRing(staged).primaryKeyId).toBe(idOf(one, 0))
    expect(createKeyRing(staged).keyIds()).toHaveLength(2)
    const promoted = promoteKey(staged, idOf(staged, 1))
    expect(createKeyRing(promoted).primaryKeyId).toBe(idOf(staged, 1))
    expect(createKeyRing(promoted).keyIds()).toHaveLength(2)
  })

  it('refuses to make a ring of no key', () => {
    expect(() => createKeyRing([])).toThrow(RangeError)
  })

  it('rotates at once', () => {
    expect(createKeyRing(two).primaryKeyId).not.toBe(idOf(one, 0))
    expect(createKeyRing(two).openingKey('access', idOf(one, 0))).toBeDefined()
  })

  it('removes what no longer seals', () => {
    const rest = createKeyRing(removeKey(two, idOf(two, 1)))
    expect(rest.keyIds()).toEqual([idOf(two, 0)])
    expect(rest.openingKey('access', idOf(two, 1))).toBeUndefined()
  })

  it.each([
    ['the only key', () => removeKey(one, idOf(one, 0))],
    ['the key that seals', () => removeKey(two, idOf(two, 0))],
    ['a key that is not there', () => removeKey(two, 'ffffffff')],
    ['rotating a derived ring', () => rotateKeyRing(deriveKeyRing(two, ['access']), maker, 'now')],
    ['deriving what a derived ring lacks', () => deriveKeyRing(deriveKeyRing(two, ['access']), ['refresh'])],
  ])('refuses %s', (_, change) => {
    expect(change).toThrow(KeyRingEditError)
  })

  it('lists ids, roles and purposes, and no key', () => {
    const listed = listKeys(deriveKeyRing(two, ['csrf', 'access']))
    expect(listed.map(({ role }) => role)).toEqual(['seals and opens', 'opens only'])
    expect(listed[0]).toEqual({
      id: idOf(two, 0),
      createdAt: '2027-01-15T08:00:00Z',
      role: 'seals and opens',
      purposes: ['access', 'csrf'],
    })
  })
})

describe('a derived ring (EN-9)', () => {
  const ring = createKeyRing(deriveKeyRing(two, proxyPurposes))

  it('has the keys of its purposes and no other', () => {
    expect(missingPurposes(ring, purposes)).toEqual(['refresh', 'identity', 'login', 'dpop'])
    expect(ring.openingKey('refresh', ring.primaryKeyId)).toBeUndefined()
    expect(() => ring.sealingKey('login')).toThrow('no key for login')
    expect(ring.macKeys('csrf')).toHaveLength(2)
  })

  it('opens what the whole ring sealed', () => {
    const nonce = Buffer.alloc(24, 7)
    const { keyId, key } = createKeyRing(two).sealingKey('access')
    const sealed = key.seal(nonce, Buffer.from('x'), Buffer.alloc(0))
    expect(ring.openingKey('access', keyId)?.open(nonce, sealed, Buffer.alloc(0))?.toString()).toBe('x')
  })

  it('does not contain the master key', () => {
    const text = formatKeyRingFile(deriveKeyRing(one, purposes))
    expect(text).not.toContain(JSON.parse(formatKeyRingFile(one)).keys[0].master)
  })
})

describe('purpose keys (EN-8)', () => {
  it('open nothing of each other', () => {
    const ring = createKeyRing(one)
    const nonce = Buffer.alloc(24)
    for (const from of sealPurposes) {
      const sealed = ring.sealingKey(from).key.seal(nonce, Buffer.from('x'), Buffer.alloc(0))
      for (const to of sealPurposes) {
        const opened = ring.openingKey(to, ring.primaryKeyId)?.open(nonce, sealed, Buffer.alloc(0))
        expect(opened !== undefined).toBe(from === to)
      }
    }
  })
})

function problemsOf(text: string) {
  try {
    parseKeyRing(text)
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
  return []
}

it('EN-9 each process needs the keys of what it does, and no process those of another', () => {
  expect(agentPurposes).toEqual(['access', 'refresh', 'identity', 'login', 'csrf', 'pseudonym'])
  expect(proxyPurposes).toEqual(['access', 'csrf', 'pseudonym'])
  expect(proofPurposes).toEqual(['dpop'])
})
