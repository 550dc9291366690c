import { errors } from 'undici'
import { describe, expect, it } from 'vitest'
import { isBrokenConnection, isConnectFailure, upstreamFailure } from '../../../oauth-proxy/forward/failure.ts'
import { TokenHandlerError } from '../../../shared/errors.ts'

const coded = (code: string) => Object.assign(new Error('text that nobody reads: ECONNRESET timeout'), { code })

describe('K18 what went wrong, by its code', () => {
  it.each([
    ['UND_ERR_CONNECT_TIMEOUT', 'upstream_connect_timeout', true, false],
    ['ETIMEDOUT', 'upstream_connect_timeout', true, false],
    ['UND_ERR_HEADERS_TIMEOUT', 'upstream_response_timeout', false, false],
    ['UND_ERR_BODY_TIMEOUT', 'upstream_response_timeout', false, false],
    ['ECONNREFUSED', 'upstream_unreachable', true, false],
    ['ENOTFOUND', 'upstream_unreachable', true, false],
    ['EHOSTUNREACH', 'upstream_unreachable', true, false],
    ['DEPTH_ZERO_SELF_SIGNED_CERT', 'upstream_unreachable', true, false],
    ['ERR_TLS_CERT_ALTNAME_INVALID', 'upstream_unreachable', true, false],
    ['CERT_HAS_EXPIRED', 'upstream_unreachable', true, false],
    ['INVALID_PURPOSE', 'upstream_unreachable', true, false],
    ['INVALID_CA', 'upstream_unreachable', true, false],
    ['PATH_LENGTH_EXCEEDED', 'upstream_unreachable', true, false],
    ['CRL_HAS_EXPIRED', 'upstream_unreachable', true, false],
    ['ERROR_IN_CERT_NOT_AFTER_FIELD', 'upstream_unreachable', true, false],
    ['ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', 'upstream_unreachable', true, false],
    ['SELF_SIGNED_CERT_IN_CHAIN', 'upstream_unreachable', true, false],
    ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'upstream_unreachable', true, false],
    ['HOSTNAME_MISMATCH', 'upstream_unreachable', true, false],
    ['EPROTO', 'upstream_unreachable', true, false],
    ['ENETUNREACH', 'upstream_unreachable', true, false],
    ['EAI_AGAIN', 'upstream_unreachable', true, false],
    ['EADDRNOTAVAIL', 'upstream_unreachable', true, false],
    ['ECONNRESET', 'upstream_reset', false, true],
    ['ECONNABORTED', 'upstream_reset', false, true],
    ['EPIPE', 'upstream_reset', false, true],
    ['UND_ERR_SOCKET', 'upstream_reset', false, true],
    ['HPE_INVALID_CONSTANT', 'upstream_invalid_response', false, false],
    ['UND_ERR_RES_CONTENT_LENGTH_MISMATCH', 'upstream_invalid_response', false, false],
    ['UND_ERR_REQ_CONTENT_LENGTH_MISMATCH', 'invalid_request', false, false],
    ['UND_ERR_INVALID_ARG', 'server_error', false, false],
    ['UND_ERR_CLOSED', 'server_stopping', false, false],
    ['UND_ERR_DESTROYED', 'server_stopping', false, false],
    ['EMFILE', 'overloaded', false, false],
    ['ENFILE', 'overloaded', false, false],
    ['NO_CERT_HAS_EXPIRED', 'upstream_invalid_response', false, false],
    ['', 'upstream_invalid_response', false, false],
  ])('%s is %s', (code, expected, connect, broken) => {
    const error = coded(code)
    expect(upstreamFailure(error).code).toBe(expected)
    expect(isConnectFailure(error, true)).toBe(connect)
    // Before anything was asked, a connection that broke had not come about.
    expect(isConnectFailure(error, false)).toBe(connect || broken)
    expect(isBrokenConnection(error)).toBe(broken)
  })

  it('a call that the library refuses is our fault', () => {
    const error = new errors.InvalidArgumentError('invalid path')
    expect(upstreamFailure(error)).toMatchObject({ code: 'server_error', cause: error })
  })

  it('of several addresses the first one speaks', () => {
    const error = new AggregateError([coded('ECONNREFUSED'), coded('HPE_INVALID_CONSTANT')])
    expect([upstreamFailure(error).code, isConnectFailure(error, true)]).toEqual(['upstream_unreachable', true])
    expect(upstreamFailure(new AggregateError([coded('ECONNREFUSED')])).code).toBe('upstream_unreachable')
  })

  it.each([
    ['CERT_HAS_EXPIRED', 'CERT_HAS_EXPIRED'],
    ['ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', 'TLSV13_ALERT_CERTIFICATE_REQUIRED'],
    ['HPE_INVALID_CONSTANT', 'HPE_INVALID_CONSTANT'],
    ['a text', undefined],
  ])('events are told the code %s as %s, and no text', (code, check) => {
    expect(upstreamFailure(coded(code)).detail.check).toBe(check)
  })

  it('ours stays what it is', () => {
    const error = new TokenHandlerError('payload_too_large')
    expect(upstreamFailure(error)).toBe(error)
  })

  it('the time that we set for connecting ends like the one of the library', () => {
    expect(isConnectFailure(new TokenHandlerError('upstream_connect_timeout'), true)).toBe(true)
    expect(isConnectFailure(new TokenHandlerError('upstream_response_timeout'), true)).toBe(false)
  })

  it.each([undefined, 'text', new AggregateError([]), { code: 'ECONNREFUSED' }])('%o is no answer', (thrown) => {
    expect(upstreamFailure(thrown).code).toBe('upstream_invalid_response')
  })
})
