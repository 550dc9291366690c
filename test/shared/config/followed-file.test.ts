import { describe, expect, it } from 'vitest'
import { followFile } from '../../../shared/config/followed-file.ts'
import { rotateKeyRing } from '../../../shared/crypto/key-ring-edit.ts'
import { formatKeyRingFile } from '../../../shared/crypto/key-ring-file.ts'
import { parseKeyRing } from '../../../shared/crypto/key-ring.ts'
import type { Observe } from '../../../shared/observe/events.ts'
import { seededRandom, testKeys } from '../../support/installation.ts'
import { createManualClock } from '../../support/manual-clock.ts'

const first = testKeys()
const second = rotateKeyRing(first, { random: seededRandom('next'), clock: createManualClock() }, 'now')
const [oldText, newText] = [formatKeyRingFile(first), formatKeyRingFile(second)]

async function open(start = oldText, more: { isHalfReplaced?: (text: string) => boolean } = {}) {
  const file: { text: string | undefined; reads: number } = { text: start, reads: 0 }
  const events: unknown[] = []
  const reasons: string[] = []
  const observe: Observe = { emit: (name, fields) => void events.push([name, fields]) }
  const clock = createManualClock()
  const keys = await followFile({
    part: 'keys',
    read: () => {
      file.reads++
      return file.text === undefined ? Promise.reject(new Error('ENOENT')) : Promise.resolve(file.text)
    },
    parse: parseKeyRing,
    about: (ring) => ({ key_id: ring.primaryKeyId }),
    clock,
    observe,
    ...more,
    onRejected: (error) => void reasons.push(error instanceof Error ? error.message : ''),
  })
  /** Lets the next poll happen and waits for what it reads. */
  const pass = async () => {
    clock.pass(5)
    await keys.reload()
    await Promise.resolve()
  }
  return { file, events, reasons, clock, keys, pass }
}

describe('a key file', () => {
  it('throws when it cannot be used at the start', async () => {
    await expect(open('{}')).rejects.toThrow('version')
  })

  it('is followed: a new key seals without a restart', async () => {
    const { file, keys, events, pass } = await open()
    file.text = newText
    expect(keys.current().primaryKeyId).toBe(first[0]?.id)
    await pass()
    expect(keys.current().primaryKeyId).toBe(second[0]?.id)
    expect(keys.current().keyIds()).toHaveLength(2)
    expect(events).toEqual([['config.reloaded', { part: 'keys', key_id: second[0]?.id }]])
  })

  it.each([
    ['is cut off', oldText.slice(0, 80), 1, 'is not a JSON object'],
    ['has two problems', '{"version":2,"keys":[]}', 2, 'must be 1'],
    ['is gone', undefined, 1, 'ENOENT'],
  ])('leaves the ring in force when it %s, and says once so and why (FI-26)', async (_, text, problems, why) => {
    const { file, keys, events, reasons, pass } = await open()
    file.text = text
    await pass()
    await pass()
    expect(keys.current().primaryKeyId).toBe(first[0]?.id)
    expect(events).toEqual([['config.rejected', { part: 'keys', problems }]])
    expect(reasons).toEqual([expect.stringContaining(why)])
    file.text = newText
    await pass()
    expect(keys.current().primaryKeyId).toBe(second[0]?.id)
  })

  it('reaches those who asked for it before it is in force, and is refused when one cannot use it', async () => {
    const { file, keys, events, pass } = await open()
    const told: (string | undefined)[] = []
    let usable = false
    keys.onChange((ring) => {
      told.push(ring.primaryKeyId, keys.current().primaryKeyId)
      if (!usable) throw new Error('no use for it')
    })
    file.text = newText
    await pass()
    expect(told).toEqual([second[0]?.id, first[0]?.id])
    expect(keys.current().primaryKeyId).toBe(first[0]?.id)
    expect(events).toEqual([['config.rejected', { part: 'keys', problems: 1 }]])
    usable = true
    file.text = oldText
    await pass()
    file.text = newText
    await pass()
    expect(keys.current().primaryKeyId).toBe(second[0]?.id)
  })

  describe('that may be half of a replacement', () => {
    const half = (name: string) => `half ${name}`
    const isHalfReplaced = (text: string) => text.startsWith('half')

    it('is taken without a word when the next reading finds it whole', async () => {
      const { file, keys, events, pass } = await open(oldText, { isHalfReplaced })
      file.text = half('one')
      await pass()
      expect([keys.current().primaryKeyId, events]).toEqual([first[0]?.id, []])
      file.text = newText
      await pass()
      expect(keys.current().primaryKeyId).toBe(second[0]?.id)
      expect(events).toEqual([['config.reloaded', { part: 'keys', key_id: second[0]?.id }]])
    })
    it.each([
      ['stays so', half('one')],
      ['is another half', half('two')],
      ['is bad in another way', '{}'],
      ['is gone', undefined],
    ])('is reported when it %s at the next reading, and once', async (_, next) => {
      const { file, keys, events, pass } = await open(oldText, { isHalfReplaced })
      file.text = half('one')
      await pass()
      file.text = next
      await pass()
      expect(events).toEqual([['config.rejected', { part: 'keys', problems: expect.any(Number) as number }]])
      await pass()
      await pass()
      expect(events).toHaveLength(1)
      expect(keys.current().primaryKeyId).toBe(first[0]?.id)
      file.text = newText
      await pass()
      expect(keys.current().primaryKeyId).toBe(second[0]?.id)
    })
    it('is reported every other reading at least while it never becomes whole', async () => {
      const { file, events, pass } = await open(oldText, { isHalfReplaced })
      for (const name of ['one', 'two', 'three', 'four']) {
        file.text = half(name)
        await pass()
      }
      expect(events).toHaveLength(2)
    })
    it('is given no time at the start', async () => {
      await expect(open(half('one'), { isHalfReplaced })).rejects.toThrow()
    })
    it('does not put off what is bad in another way', async () => {
      const { file, events, pass } = await open(oldText, { isHalfReplaced })
      file.text = '{}'
      await pass()
      expect(events).toHaveLength(1)
    })
  })

  it('says nothing while nothing changes, and keeps the same ring', async () => {
    const { keys, events, pass } = await open()
    const ring = keys.current()
    await pass()
    await pass()
    expect(keys.current()).toBe(ring)
    expect(events).toEqual([])
  })

  it('reads once for all who ask at the same time', async () => {
    const { file, keys } = await open()
    await Promise.all([keys.reload(), keys.reload(), keys.reload()])
    expect(file.reads).toBe(2)
  })

  it('is left alone after closing', async () => {
    const { file, keys, clock, events } = await open()
    keys.close()
    file.text = newText
    clock.pass(60)
    await keys.reload()
    expect(keys.current().primaryKeyId).toBe(first[0]?.id)
    expect(events).toEqual([])
  })

  it('goes on polling, every five seconds', async () => {
    const { file, clock } = await open()
    const reads: number[] = []
    for (const seconds of [4.9, 0.1, 4.9, 0.1]) {
      clock.pass(seconds)
      await new Promise(setImmediate)
      reads.push(file.reads)
    }
    expect(reads).toEqual([1, 2, 2, 3])
  })
})
