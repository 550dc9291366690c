import { expect, it } from 'vitest'
import { checkNoLoop, viaValue } from '../../../oauth-proxy/gate/via.ts'

it.each(['1.1 token-handler', '1.0 edge, 1.1 token-handler (x)', '1.0 edge,  HTTP/1.1  token-handler'])(
  'HX-21 %s is a circle',
  (via) => {
    expect(() => checkNoLoop(via)).toThrow(expect.objectContaining({ code: 'ambiguous_request' }))
  },
)

it.each([undefined, '', '1.0 edge', '1.1 other-token-handler', 'token-handler'])('%s is none', (via) => {
  expect(() => checkNoLoop(via)).not.toThrow()
})

it.each([
  [undefined, '1.1 token-handler'],
  ['1.0 edge', '1.0 edge, 1.1 token-handler'],
])('HX-21 behind %s the API is told %s', (via, expected) => {
  expect(viaValue(via)).toBe(expected)
})
