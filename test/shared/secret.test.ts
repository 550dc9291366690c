import { format, inspect } from 'node:util'
import { expect, it } from 'vitest'
import { Secret } from '../../shared/secret.ts'

const secret = new Secret('hunter2')

it.each<[string, string]>([
  ['text', `${secret}`],
  ['joined text', ['a', secret].join()],
  ['JSON', JSON.stringify({ secret })],
  ['inspection', inspect({ secret }, { showHidden: true, depth: 9 })],
  ['a log line', format('%s %o %O %j', secret, secret, secret, secret)],
  ['a copy', JSON.stringify([{ ...secret }, structuredClone(secret), Object.entries(secret)])],
])('is not in %s', (how, printed) => {
  expect(printed).not.toContain('hunter2')
  if (how !== 'a copy') expect(printed).toContain('[secret]')
})

it('is given away by reveal() only', () => {
  expect(secret.reveal()).toBe('hunter2')
})
