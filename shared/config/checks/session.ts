import type { CrossProblem } from './check.ts'
import { isProfile, profileLimits } from '../profiles.ts'
import type { Config } from '../schema.ts'
import { longestCookieSeconds } from '../values.ts'

/** Session limits against each other, against the chosen profile and against what browsers keep. */
export function* sessionChecks({ session }: Config): Iterable<CrossProblem> {
  const { profile } = session
  if (isProfile(profile)) {
    const { absolute, idle } = profileLimits[profile]
    for (const [name, value, limit] of [
      ['absolute_seconds', session.absoluteSeconds, absolute],
      ['idle_seconds', session.idleSeconds, idle],
    ] as const) {
      if (value <= limit) continue
      yield {
        path: `session.${name}`,
        problem: `is ${value}, more than the ${limit} that profile ${profile} allows`,
        remedy: `Use at most ${limit}, leave it out, or choose another profile.`,
        given: ['session.profile'],
      }
    }
  }
  if (session.idleSeconds > session.absoluteSeconds) {
    yield {
      path: 'session.idle_seconds',
      problem: 'is longer than session.absolute_seconds',
      remedy: 'Make it shorter; a session cannot be idle longer than it may live.',
      given: ['session.absolute_seconds'],
    }
  }
  if (session.refreshAheadSeconds >= session.maxAccessTokenSeconds) {
    yield {
      path: 'session.refresh_ahead_seconds',
      problem: 'is not shorter than session.max_access_token_seconds, so no access token would live long enough for it',
      remedy: 'Make it shorter; 30 suits most.',
      given: ['session.max_access_token_seconds'],
    }
  }
  if (session.absoluteSeconds > longestCookieSeconds) {
    yield {
      path: 'session.absolute_seconds',
      problem: `is more than ${longestCookieSeconds / 86_400} days, the longest that browsers keep a cookie`,
      remedy: `Use at most ${longestCookieSeconds}.`,
    }
  }
}
