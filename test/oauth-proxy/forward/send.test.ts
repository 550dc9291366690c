import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import type { Dispatcher } from 'undici'
import { expect, it } from 'vitest'
import { send } from '../../../oauth-proxy/forward/send.ts'
import type { Target } from '../../../oauth-proxy/forward/upstream.ts'
import { createManualClock } from '../../support/manual-clock.ts'

/** Who was asked, in order, and which places were reported as away, where the first fails as said. */
async function asked({ begun, code, method }: { begun: boolean; code: string; method: string }) {
  const places: string[] = []
  const away: string[] = []
  const place = (name: string, end: (handler: Dispatcher.DispatchHandler) => void) => ({
    origin: `http://${name}`,
    report: (answered: boolean) => void (answered || away.push(name)),
    pool: {
      dispatch(_: unknown, handler: Dispatcher.DispatchHandler) {
        places.push(name)
        end(handler)
      },
    },
  })
  const controller = { abort() {} } as unknown as Dispatcher.DispatchController
  const first = place('first', (handler) => {
    if (begun) handler.onRequestStart?.(controller, {})
    handler.onResponseError?.(controller, Object.assign(new Error('x'), { code }))
  })
  const second = place('second', (handler) => {
    handler.onRequestStart?.(controller, {})
    handler.onResponseError?.(controller, new Error('enough'))
  })
  const turns = [first, second] as unknown as Target[]
  const request = new IncomingMessage(new Socket())
  const call = send({
    request,
    response: new ServerResponse(request),
    upstream: {
      pick: () => turns.shift() as Target,
      other: (than) => turns.find((target) => !than.includes(target)),
      close: () => Promise.resolve(),
    },
    method,
    path: '/',
    headers: {},
    hasBody: false,
    maxBodyBytes: 1,
    idleTimeoutMs: 1,
    clock: createManualClock(),
    onHead: () => ({}),
    onEventStream: () => () => {},
    onUnreachable: () => {},
  })
  await expect(call).rejects.toThrow()
  return { places, away }
}

it.each([
  ['refused', { begun: false, code: 'ECONNREFUSED', method: 'DELETE' }, ['first', 'second'], ['first']],
  ['reset before it was ready', { begun: false, code: 'ECONNRESET', method: 'DELETE' }, ['first', 'second'], ['first']],
  ['one of ours that cannot be made', { begun: false, code: 'EMFILE', method: 'GET' }, ['first'], []],
  ['reset under a DELETE', { begun: true, code: 'ECONNRESET', method: 'DELETE' }, ['first'], []],
  ['reset under a GET', { begun: true, code: 'ECONNRESET', method: 'GET' }, ['first', 'second'], []],
  // What is said of an address that is gone looks the same whether or not a connection to it had been made.
  ['timed out under a DELETE', { begun: true, code: 'ETIMEDOUT', method: 'DELETE' }, ['first'], ['first']],
  ['lost its way under a POST', { begun: true, code: 'EHOSTUNREACH', method: 'POST' }, ['first'], ['first']],
  ['lost its way under a GET', { begun: true, code: 'EHOSTUNREACH', method: 'GET' }, ['first'], ['first']],
] as const)('a connection %s', async (_, failure, places, away) => {
  expect(await asked(failure)).toEqual({ places, away })
})
