import { expect, it } from 'vitest'
import { checkGrantedDetails, checkRenewedDetails } from '../../../oauth-agent/flows/granted-details.ts'
import { ProviderAnswerInvalid } from '../../../shared/oauth/provider-error.ts'

const lists = ['locations', 'actions', 'datatypes', 'privileges'] as const

it.each(lists)('details are limited by %s, at a sign-in and at a refresh (RFC 9396 §2.2, X-8)', (name) => {
  const asked = [{ type: 'payment', [name]: ['a', 'b'] }]
  const granted = (value: unknown) => [{ type: 'payment', ...(value === undefined ? {} : { [name]: value }) }]
  for (const check of [checkGrantedDetails, checkRenewedDetails]) {
    for (const value of [['a', 'b'], ['b'], []]) expect(() => check(granted(value), asked)).not.toThrow()
    for (const value of [['a', 'b', 'c'], ['c'], ['A'], 'a', undefined]) {
      expect(() => check(granted(value), asked)).toThrow(ProviderAnswerInvalid)
    }
  }
})

it('what was not limited may be limited in the answer', () => {
  const granted = [{ type: 'payment', locations: ['https://a.test'], datatypes: ['balance'], privileges: ['read'] }]
  expect(() => checkGrantedDetails(granted, [{ type: 'payment' }])).not.toThrow()
})
