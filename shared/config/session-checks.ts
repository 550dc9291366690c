import type { CrossProblem } from './check.ts'
import { isProfile, profileLimits } from './profiles.ts'
import type { Config } from './schema.ts'

/** Session limits against each other and against the chosen profile, and what several processes need in common. */
export function* sessionChecks({ session, logout, operations, store }: Config): Iterable<CrossProblem> {
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
  if (session.absoluteSeconds > 400 * 86_400) {
    yield {
      path: 'session.absolute_seconds',
      problem: 'is more than 400 days, the longest that browsers keep a cookie',
      remedy: 'Use at most 34560000.',
    }
  }
  if (logout.backchannel && operations.workers > 1 && store.kind === 'memory') {
    yield {
      path: 'logout.backchannel',
      problem: 'needs a shared store when there are several workers: one of them alone would hear of the sign-out',
      remedy: 'Set store.kind: valkey, or operations.workers: 1.',
      given: ['operations.workers', 'store.kind'],
    }
  }
  if (store.kind === 'valkey' && !isStoreUrl(store.url.reveal())) {
    yield {
      path: 'store.url',
      problem: 'is not a redis:// or rediss:// URL',
      remedy: 'Write rediss://user:password@host:6379; in user and password, %2F stands for /, %23 for #, %25 for %.',
    }
  }
}

/** What the client of the store can read; a password as it is would end the host or hide part of itself. */
function isStoreUrl(text: string): boolean {
  if (!/^rediss?:\/\//.test(text) || !URL.canParse(text)) return false
  const { hostname, pathname, search, hash, username, password } = new URL(text)
  if (hostname === '' || search !== '' || hash !== '' || !/^(?:\/[0-9]{0,5})?$/.test(pathname)) return false
  try {
    decodeURIComponent(username + password)
    return true
  } catch {
    return false
  }
}
