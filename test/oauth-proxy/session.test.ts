import { expect, it } from 'vitest'
import { type SessionParts, openSession } from '../../oauth-proxy/session.ts'
import { TokenHandlerError } from '../../shared/errors.ts'
import { sessionCookies } from '../support/installation.ts'

const now = 1_800_000_100
const noCookies = { ours: new Map<string, string>(), others: undefined }

function verdict(limits: { absoluteExpiresAt: number; idleExpiresAt: number }, ended = false) {
  try {
    const { access } = sessionCookies(limits)
    const session = openSession(noCookies, {
      cookies: { access: () => ({ kind: 'opened', content: access }) },
      store: { hasEnded: () => ended },
      clock: { nowSeconds: () => now },
    })
    return session === access ? 'alive' : session
  } catch (error) {
    return error instanceof TokenHandlerError ? [error.code, error.detail['check']] : error
  }
}

it.each([
  ['both limits ahead', 1, 1, 'alive'],
  ['the absolute limit reached', 0, 1, ['session_expired', 'absolute_limit']],
  ['the idle limit reached', 1, 0, ['session_expired', 'idle_limit']],
  ['both limits reached', 0, 0, ['session_expired', 'absolute_limit']],
  ['the absolute limit long past', -1000, 1, ['session_expired', 'absolute_limit']],
])('a session lives until its limits, not a second longer: %s', (_, absolute, idle, expected) => {
  expect(verdict({ absoluteExpiresAt: now + absolute, idleExpiresAt: now + idle })).toEqual(expected)
})

it('a session that was ended elsewhere is over, whatever its limits', () => {
  const limits = { absoluteExpiresAt: now + 1, idleExpiresAt: now + 1 }
  expect(verdict(limits, true)).toEqual(['session_expired', 'ended'])
})

it.each([
  ['absent', undefined],
  ['unreadable', ['session_invalid', undefined]],
] as const)('a cookie that is %s', (kind, expected) => {
  const parts: SessionParts = {
    cookies: { access: () => ({ kind }) },
    store: { hasEnded: () => false },
    clock: { nowSeconds: () => now },
  }
  let answer: unknown
  try {
    answer = openSession(noCookies, parts)
  } catch (error) {
    answer = error instanceof TokenHandlerError ? [error.code, error.detail['check']] : error
  }
  expect(answer).toEqual(expected)
})
