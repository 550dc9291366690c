import { expect, it } from 'vitest'
import { createQueue } from '../../../shared/oauth/queue.ts'

const patient = () => new AbortController().signal

it('a place that is given back twice is free once', async () => {
  const queue = createQueue({ maxRunning: 1, maxWaiting: 2 })
  const leave = await queue.enter(patient())
  const [second, third] = [queue.enter(patient()), queue.enter(patient())]
  leave?.()
  leave?.()
  await second
  expect(queue.waiting).toBe(1)
  ;(await second)?.()
  expect(await third).toBeDefined()
})

it('who gives up while waiting takes no place, and the next in line gets it', async () => {
  const queue = createQueue({ maxRunning: 1, maxWaiting: 2 })
  const leave = await queue.enter(patient())
  const impatient = new AbortController()
  const [given, next] = [queue.enter(impatient.signal), queue.enter(patient())]
  impatient.abort()
  expect([await given, queue.waiting]).toEqual([undefined, 1])
  leave?.()
  expect(await next).toBeDefined()
  expect(await queue.enter(impatient.signal)).toBeUndefined()
})

it('as many wait as may, and the next is told at once that there is no place', async () => {
  const queue = createQueue({ maxRunning: 2, maxWaiting: 2 })
  const places = [await queue.enter(patient()), await queue.enter(patient())]
  const waiting = [queue.enter(patient()), queue.enter(patient())]
  expect([queue.waiting, await queue.enter(patient())]).toEqual([2, undefined])
  for (const leave of places) leave?.()
  for (const place of waiting) (await place)?.()
  // Both are free again, and no more than both.
  for (let i = 0; i < 2; i++) expect(await queue.enter(patient())).toBeDefined()
  void queue.enter(patient())
  expect(queue.waiting).toBe(1)
})
