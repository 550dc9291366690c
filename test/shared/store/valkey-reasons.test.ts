import {
  AbortError,
  ClientClosedError,
  ConnectionTimeoutError,
  ErrorReply,
  SimpleError,
  SocketClosedUnexpectedlyError,
} from '@redis/client'
import { describe, expect, it } from 'vitest'
import { reasonOf } from '../../../shared/store/valkey-connection.ts'

describe('the reason why the store is unavailable', () => {
  it.each([
    ['the server has gone', new SocketClosedUnexpectedlyError(), 'CLOSED'],
    ['our side has closed', new ClientClosedError(), 'CLOSED'],
    ['no connection in time', new ConnectionTimeoutError(), 'TIMEOUT'],
    ['a failed system call', Object.assign(new Error('connect'), { code: 'ECONNREFUSED' }), 'ECONNREFUSED'],
    ['an answer with its kind', new SimpleError('WRONGPASS invalid username-password pair'), 'WRONGPASS'],
    ['an answer without one', new ErrorReply('something of "secret"'), 'ERR'],
    ['another error of the library', new AbortError(), 'UNKNOWN'],
    ['no error at all', 'secret', 'UNKNOWN'],
  ])('%s', (_name, failure, reason) => {
    expect(reasonOf(failure)).toBe(reason)
  })
})
