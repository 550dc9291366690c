import type { CrossProblem } from './check.ts'
import type { Config } from '../schema.ts'

/** The shared store: where it is, and whether several processes need one. */
export function* storeChecks({ logout, operations, store }: Config): Iterable<CrossProblem> {
  if (logout.backchannel && operations.workers > 1 && store.kind === 'memory') {
    yield {
      path: 'logout.backchannel',
      problem: 'needs a shared store when there are several workers: only one of them would learn of the sign-out',
      remedy: 'Set store.kind: valkey, or operations.workers: 1.',
      given: ['operations.workers', 'store.kind'],
    }
  }
  if (store.kind === 'valkey' && !isStoreUrl(store.url.reveal())) {
    yield {
      path: 'store.url',
      problem: 'is not a redis:// or rediss:// URL',
      remedy: 'Write rediss://user:password@host:6379; in user and password, %2F stands for /, %23 for #, %25 for %.',
      given: ['store.url_file'],
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
