import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { createDice, mutate } from './mutate.ts'
import { BrokenPromise, promise } from './target.ts'
import { targets } from './targets.ts'

/** Inputs that once broke a promise. */
function found(name: string): string[] {
  const file = new URL(`../vectors/fuzz/${name}.json`, import.meta.url)
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as string[]) : []
}

describe.each(targets.map((target) => [target.name, target] as const))('%s', (name, target) => {
  it('keeps its promises for every input ever found', () => {
    for (const input of [...target.seeds, ...found(name)]) target.run(input)
  })
  it('keeps them for some thousand fresh ones', () => {
    const dice = createDice(4711)
    for (let run = 0; run < (name === 'settings-file' ? 150 : 3000); run++) {
      const input = mutate(target.seeds, target.dictionary, dice)
      expect(() => target.run(input), JSON.stringify(input)).not.toThrow()
    }
  })
})

describe('the hunt itself', () => {
  it('notices a broken promise', () => {
    expect(() => promise(false, 'x')).toThrow(BrokenPromise)
  })
  it('makes the same inputs from the same seed', () => {
    const make = () => Array.from({ length: 50 }, (_, at) => mutate(['abc', 'def'], ['%2e'], createDice(at + 1)))
    expect(make()).toEqual(make())
  })
})
