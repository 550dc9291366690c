import { expect, it } from 'vitest'
import { reportFailedCall } from '../../../oauth-proxy/edges/report-call.ts'
import { upstreamFailure } from '../../../oauth-proxy/forward/failure.ts'
import { TokenHandlerError } from '../../../shared/errors.ts'
import { createManualClock } from '../../support/manual-clock.ts'

const route = { path: '/api/**' }

it.each([
  ['an API that is away', upstreamFailure(withCode('ECONNREFUSED')), ['upstream_unreachable', 'ECONNREFUSED']],
  ['a want of file descriptors here', upstreamFailure(withCode('EMFILE')), ['overloaded', 'EMFILE']],
  ['a mistake of ours', upstreamFailure(withCode('UND_ERR_INVALID_ARG')), ['server_error', 'UND_ERR_INVALID_ARG']],
  ['a body that is too long', new TokenHandlerError('payload_too_large'), undefined],
])('%s is told with its cause, unless the caller has it in hand', (_, failure, wanted) => {
  const told: unknown[] = []
  const observe = {
    emit: (name: string, fields: Readonly<Record<string, unknown>>) => {
      if (name === 'upstream.failed') told.push([fields['error_code'], fields['check']])
    },
  }
  const clock = createManualClock()
  reportFailedCall(failure, 'request-1', route, clock.nowMs(), { clock, observe })
  expect(told).toEqual(wanted === undefined ? [] : [wanted])
})

function withCode(code: string): Error {
  return Object.assign(new Error('do-not-show-me'), { code })
}
