import { existsSync, readFileSync } from 'node:fs'
import { afterAll, describe, expect, it } from 'vitest'
import { createDice, mutate } from './mutate.ts'
import { BrokenPromise, promise } from './target.ts'
import { targets } from './targets.ts'

/** Inputs that once broke a promise. */
function found(name: string): string[] {
  const file = new URL(`../vectors/fuzz/${name}.json`, import.meta.url)
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as string[]) : []
}

/** Fewer where a run costs more. */
const runs: Readonly<Record<string, number>> = {
  'settings-file': 150,
  framing: 500,
  'logout-token': 1000,
  sessions: 2,
  'sessions-without-store': 2,
}

describe.each(targets.map((target) => [target.name, target] as const))('%s', (name, target) => {
  afterAll(() => target.close?.())
  it('keeps its promises for every input ever found', async () => {
    for (const input of [...target.seeds, ...found(name)]) await target.run(input)
  })
  it('keeps them for fresh ones', async () => {
    const dice = createDice(4711)
    for (let run = 0; run < (runs[name] ?? 3000); run++) {
      const input = mutate(target.seeds, target.dictionary, dice)
      const ran = (async () => target.run(input))()
      await expect(ran, JSON.stringify(input)).resolves.toBeUndefined()
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
