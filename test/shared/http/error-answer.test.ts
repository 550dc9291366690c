import { describe, expect, it } from 'vitest'
import { errorTable } from '../../../shared/error-table.ts'
import { type ErrorCode, TokenHandlerError } from '../../../shared/errors.ts'
import { asTokenHandlerError, errorAnswer } from '../../../shared/http/error-answer.ts'

const codes = Object.keys(errorTable) as ErrorCode[]

describe('every code', () => {
  it.each(codes)('%s answers with its row and nothing else', (code) => {
    const { status, headers, body } = errorAnswer(
      new TokenHandlerError(code, { detail: { check: 'secret-detail' }, cause: new Error('secret-cause') }),
      'request-1',
    )
    expect(status).toBe(errorTable[code].status)
    expect(headers['content-type']).toBe('application/json')
    expect(headers['cache-control']).toBe('no-store')
    expect(headers['token-handler-error']).toBe(code)
    expect(headers['x-request-id']).toBe('request-1')
    expect(headers).not.toHaveProperty('retry-after')
    expect(JSON.parse(body)).toEqual({ error_code: code, detailed_error: errorTable[code].message })
  })
})

it('documented fields stand next to the code, and retry_after is also a header', () => {
  const { headers, body } = errorAnswer(new TokenHandlerError('overloaded', { fields: { retry_after: 7 } }), 'r')
  expect(headers['retry-after']).toBe('7')
  expect(JSON.parse(body)).toMatchObject({ error_code: 'overloaded', retry_after: 7 })
})

it('what is not ours becomes server_error and reveals nothing', () => {
  const error = asTokenHandlerError(new Error('password=hunter2'))
  expect(error.code).toBe('server_error')
  expect(errorAnswer(error, 'r').body).not.toContain('hunter2')
  expect(asTokenHandlerError('text').code).toBe('server_error')
})
