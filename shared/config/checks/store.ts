import type { CrossProblem } from './check.ts'
import { isSingleHost } from '../local.ts'
import type { Config } from '../schema.ts'

/** The shared store: where it is. */
export function* storeChecks({ store }: Config): Iterable<CrossProblem> {
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
  if (!isSingleHost(hostname) || search !== '' || hash !== '' || !/^(?:\/[0-9]{0,5})?$/.test(pathname)) return false
  try {
    decodeURIComponent(username + password)
    return true
  } catch {
    return false
  }
}
