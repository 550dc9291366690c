import { expect, it } from 'vitest'
import { tellRefusal } from '../../../oauth-proxy/edges/refusal.ts'
import { createKeyRing, fixedKeys } from '../../../shared/crypto/key-ring.ts'
import { TokenHandlerError } from '../../../shared/errors.ts'
import type { EventName } from '../../../shared/observe/events.ts'
import { testKeys } from '../../support/installation.ts'

it.each([
  ['a bug of ours by the name of its error', new TypeError('x of undefined'), 'TypeError'],
  ['something thrown that is no error', 'x', 'unknown'],
])('a refusal tells %s, and never its text', (_, cause, name) => {
  const events: [EventName, object][] = []
  const observe = { emit: (event: EventName, fields: object) => void events.push([event, fields]) }
  const keys = fixedKeys(createKeyRing(testKeys()))
  tellRefusal(new TokenHandlerError('server_error', { cause }), 'r1', {}, { keys, observe })
  expect(events).toEqual([
    ['internal.failed', { request_id: 'r1', where: 'proxy', error_name: name }],
    ['request.refused', expect.objectContaining({ request_id: 'r1', side: 'proxy', error_code: 'server_error' })],
  ])
})
