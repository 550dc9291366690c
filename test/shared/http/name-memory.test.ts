import { expect, it } from 'vitest'
import { rememberByName } from '../../../shared/http/name-memory.ts'

function counted(limit: number) {
  const computed: string[] = []
  const isShort = rememberByName((name) => {
    if (name === '') throw new RangeError('a name has a character')
    computed.push(name)
    return name.length === 1
  }, limit)
  return { computed, isShort }
}

it('what was computed once is remembered, also when it is false', () => {
  const { computed, isShort } = counted(2)
  expect(['a', 'aa', 'a', 'aa', 'A'].map(isShort)).toEqual([true, false, true, false, true])
  expect(computed).toEqual(['a', 'aa', 'A'])
})

it('a throw is not remembered', () => {
  const { computed, isShort } = counted(1)
  expect(isShort('a')).toBe(true)
  expect(() => isShort('')).toThrow(RangeError)
  expect(isShort('a')).toBe(true)
  expect(computed).toEqual(['a'])
})

it('names that nobody else sends push out the others for a moment only', () => {
  const { computed, isShort } = counted(512)
  for (let index = 0; index < 600; index++) isShort(`junk-${index}`)
  computed.length = 0
  expect(['a', 'b', 'a', 'b'].map(isShort)).toEqual([true, true, true, true])
  expect(computed).toEqual(['a', 'b'])
})

it('never more than the limit is remembered', () => {
  const { computed, isShort } = counted(2)
  for (const name of ['a', 'b', 'c', 'c', 'a']) isShort(name)
  expect(computed).toEqual(['a', 'b', 'c', 'a'])
})
