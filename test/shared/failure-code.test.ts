import { expect, it } from 'vitest'
import { failureCode } from '../../shared/failure-code.ts'

const coded = (code: unknown, options?: ErrorOptions) => Object.assign(new Error('no text', options), { code })

it.each([
  ['a failed system call', coded('ECONNREFUSED'), 'ECONNREFUSED'],
  ['a certificate', coded('ERR_TLS_CERT_ALTNAME_INVALID'), 'ERR_TLS_CERT_ALTNAME_INVALID'],
  ['an alert of TLS', coded('ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED'), 'TLSV13_ALERT_CERTIFICATE_REQUIRED'],
  ['what lies behind', new TypeError('fetch failed', { cause: coded('ENOTFOUND') }), 'ENOTFOUND'],
  ['a number of the DOM', coded(20, { cause: coded('ENOTFOUND') }), 'ENOTFOUND'],
  ['a class', coded('SomeError'), undefined],
  ['the end of a deadline', new DOMException('', 'TimeoutError'), 'timeout'],
  ['an error without a code', new Error('ECONNREFUSED'), undefined],
  ['no error', { code: 'ECONNREFUSED' }, undefined],
])('the code of %s', (_what, failure, code) => {
  expect(failureCode(failure)).toBe(code)
})
