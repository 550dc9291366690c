import { expect, it } from 'vitest'
import { replaceable } from '../../bin/replaceable.ts'
import { createManualClock } from '../support/manual-clock.ts'

function setup() {
  const clock = createManualClock()
  const told: string[] = []
  let finish = (): void => undefined
  const finished = new Promise<void>((resolve) => (finish = resolve))
  const given: string[] = []
  const part = (name: string) => ({
    name,
    giveWay: (others: readonly { readonly name: string }[]) =>
      void given.push(
        `${name} to ${others
          .map((other) => other.name)
          .toSorted()
          .join()}`,
      ),
    endStreams: () => void told.push(`${name} ends streams`),
    beforeCut: () => void told.push(`${name} is cut`),
    finish: () => {
      told.push(`${name} finishes`)
      return finished
    },
    close: async (): Promise<void> => void told.push(`${name} closes`),
  })
  const slot = replaceable(part('old'), { clock, drainMs: 25_000 })
  return { clock, told, given, part, slot, finish: () => finish() }
}

it('puts the new one in place at once and lets the old one finish first', () => {
  const { clock, told, part, slot } = setup()
  slot.replace(part('new'))
  expect(slot.current().name).toBe('new')
  expect(told).toEqual([])
  clock.pass(25)
  expect(told).toEqual(['old ends streams', 'old finishes'])
})

it('has each that was replaced give way to what is in force, once its own drain time is over', () => {
  const { clock, given, part, slot } = setup()
  slot.replace(part('second'))
  clock.pass(24)
  slot.replace(part('third'))
  clock.pass(1)
  expect(given).toEqual(['old to second,third'])
  clock.pass(24)
  expect(given.slice(1)).toEqual(['old to third', 'second to third'])
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

it('ends at once the streams of one that a reload under way puts in place during a stop', () => {
  const { told, part, slot } = setup()
  slot.endStreams()
  told.length = 0
  slot.replace(part('late'))
  expect(told).toEqual(['late ends streams'])
})

it('says before the cut that it comes, also to those that were replaced', () => {
  const { told, part, slot } = setup()
  slot.replace(part('new'))
  slot.beforeCut()
  expect(told).toEqual(['new is cut', 'old is cut'])
})

it('closes all that are left at the end, each once', async () => {
  const { clock, told, part, slot } = setup()
  slot.replace(part('new'))
  await slot.close()
  clock.pass(100)
  expect(told.toSorted()).toEqual(['new closes', 'old closes'])
})

it('is closed once each of them is', async () => {
  const { part, slot } = setup()
  let close = (): void => undefined
  slot.replace({ ...part('slow'), close: () => new Promise<void>((resolve) => (close = resolve)) })
  let isClosed = false
  const closed = slot.close().then(() => (isClosed = true))
  await new Promise(setImmediate)
  expect(isClosed).toBe(false)
  close()
  await closed
})
