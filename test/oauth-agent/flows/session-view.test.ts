import { describe, expect, it } from 'vitest'
import { refreshView } from '../../../oauth-agent/flows/session-view.ts'
import { sessionCookies } from '../../support/installation.ts'
import { createManualClock } from '../../support/manual-clock.ts'

const clock = createManualClock()
const now = clock.nowSeconds()
const settings = {
  profile: 'custom' as const,
  absoluteSeconds: 28_800,
  idleSeconds: 3600,
  defaultAccessTokenSeconds: 300,
  maxAccessTokenSeconds: 86_400,
  refreshAheadSeconds: 30,
  endOnInvalidRequest: false,
  allowedRefreshParameters: [],
}

type Change = Partial<typeof settings> & { readonly csrfToken?: string }

function view(accessSeconds: number, idleSeconds: number, { csrfToken, ...change }: Change = {}) {
  const { access, refresh, identity } = sessionCookies()
  const facts = { idleExpiresAt: now + idleSeconds, absoluteExpiresAt: now + 28_800 }
  const session = {
    facts: { ...access, ...facts },
    access: { ...access, ...facts, accessTokenExpiresAt: now + accessSeconds },
    ...(refresh === undefined ? {} : { refresh: { ...refresh, ...facts } }),
    identity: { ...identity, ...facts },
  }
  return refreshView(session, { config: { session: { ...settings, ...change } }, clock, csrfTokenOf: () => csrfToken })
}

describe('refresh_in', () => {
  it.each<[string, number, number, number]>([
    ['ahead of the end of the access token', 300, 3600, 270],
    ['at half the life of a short token', 60, 3600, 30],
    ['at half the life of a very short one', 9, 3600, 4],
    ['never at once, even if the token is over', 0, 3600, 1],
    ['never in the past', -500, 3600, 1],
    ['ahead of an idle limit that comes first, so that activity can move it', 3600, 900, 870],
    ['by the token, where a refresh without activity has left the idle limit close', 3600, 30, 3570],
  ])('%s', (_what, accessSeconds, idleSeconds, wanted) => {
    expect(view(accessSeconds, idleSeconds).session.refresh_in).toBe(wanted)
  })

  it.each([
    [600, 300, 1800, 300],
    [60, 30, 1800, 30],
    [10, 30, 300, 5],
  ])('comes before an idle limit of %i s, however far ahead refreshes are', (...row) => {
    const [idleSeconds, refreshAheadSeconds, accessSeconds, wanted] = row
    const change = { idleSeconds, refreshAheadSeconds }
    expect(view(accessSeconds, idleSeconds, change).session.refresh_in).toBe(wanted)
    // Half of it is what a refresh without activity may have left.
    expect(view(accessSeconds, idleSeconds / 2, change).session.refresh_in).toBeGreaterThan(idleSeconds / 2)
  })

  it.each([60, 30])(
    'is absent in the last %i s of a session, where every refresh would give tokens for as long',
    (left) => {
      const at = { ...clock, nowSeconds: () => now + 28_800 - left }
      const facts = { idleExpiresAt: now + 28_800, absoluteExpiresAt: now + 28_800 }
      const { access, refresh, identity } = sessionCookies()
      if (refresh === undefined) throw new Error('no refresh cookie')
      const viewOf = (accessTokenExpiresAt: number, idleExpiresAt: number) => {
        const limits = { ...facts, idleExpiresAt }
        const session = {
          facts: { ...access, ...limits },
          access: { ...access, accessTokenExpiresAt },
          refresh,
          identity,
        }
        return refreshView(session, { config: { session: settings }, clock: at, csrfTokenOf: () => undefined }).session
      }
      const end = facts.absoluteExpiresAt
      expect(viewOf(end, end)).not.toHaveProperty('refresh_in')
      // A token that ends before its session, or an idle limit that does, is another matter.
      expect(viewOf(end - 5, end)).toHaveProperty('refresh_in')
      expect(viewOf(end, end - 5)).toHaveProperty('refresh_in')
    },
  )

  it('is absent without a refresh token', () => {
    const { access, identity } = sessionCookies()
    const parts = { config: { session: settings }, clock, csrfTokenOf: () => undefined }
    expect(refreshView({ facts: access, access, identity }, parts).session).not.toHaveProperty('refresh_in')
  })
})

it('how somebody signed in is known from whichever cookie is there', () => {
  const { access, refresh, identity } = sessionCookies()
  if (refresh === undefined) throw new Error('no refresh cookie')
  const parts = { config: { session: settings }, clock, csrfTokenOf: () => undefined }
  const amr = ['pwd', 'otp']
  expect(refreshView({ facts: access, access, refresh: { ...refresh, amr } }, parts).session.amr).toEqual(amr)
  expect(refreshView({ facts: access, access, identity: { ...identity, amr } }, parts).session.amr).toEqual(amr)
})

it('no lifetime is ever negative', () => {
  const { access_token_expires_in: access, session } = view(-5, -5)
  expect([access, session.idle_expires_in]).toEqual([0, 0])
})

it('the CSRF token is given only where one is demanded', () => {
  expect(view(300, 3600, { csrfToken: 'token' }).session.csrf_token).toBe('token')
  expect(view(300, 3600).session).not.toHaveProperty('csrf_token')
})
