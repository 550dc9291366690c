import { expect, it } from 'vitest'
import { replaceable } from '../../bin/replaceable.ts'
import { createManualClock } from '../support/manual-clock.ts'

function setup() {
  const clock = createManualClock()
  const told: string[] = []
  let finish = (): void => undefined
  const finished = new Promise<void>((resolve) => (finish = resolve))
  const part = (name: string) => ({
    name,
    endStreams: () => void told.push(`${name} ends streams`),
    finish: () => {
      told.push(`${name} finishes`)
      return finished
    },
    close: async () => void told.push(`${name} closes`),
  })
  const slot = replaceable(part('old'), { clock, drainMs: 25_000 })
  return { clock, told, part, slot, finish: () => finish() }
}

it('puts the new one in place at once and lets the old one finish first', () => {
  const { clock, told, part, slot } = setup()
  slot.replace(part('new'))
  expect(slot.current().name).toBe('new')
  expect(told).toEqual([])
  clock.pass(25)
  expect(told).toEqual(['old ends streams', 'old finishes'])
})

it('cuts at the end what has not finished', async () => {
  const { clock, told, part, slot } = setup()
  slot.replace(part('new'))
  clock.pass(25)
  told.length = 0
  await slot.close()
  expect(told.toSorted()).toEqual(['new closes', 'old closes'])
})

it('forgets what has finished', async () => {
  const { clock, told, part, slot, finish } = setup()
  slot.replace(part('new'))
  clock.pass(25)
  finish()
  told.length = 0
  await expect
    .poll(() => {
      told.length = 0
      slot.endStreams()
      return told
    })
    .toEqual(['new ends streams'])
  await slot.close()
  expect(told).toEqual(['new ends streams', 'new closes'])
})

it('ends all streams when told to, also those that were opened before the replacement', () => {
  const { told, part, slot } = setup()
  slot.replace(part('new'))
  slot.endStreams()
  expect(told).toEqual(['new ends streams', 'old ends streams'])
})

it('closes all that are left at the end, each once', async () => {
  const { clock, told, part, slot } = setup()
  slot.replace(part('new'))
  await slot.close()
  clock.pass(100)
  expect(told.toSorted()).toEqual(['new closes', 'old closes'])
})
