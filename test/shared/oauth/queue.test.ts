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
