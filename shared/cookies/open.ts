import type { Clock } from '../clock.ts'
import type { KeySource } from '../crypto/key-ring.ts'
import { type Binding, type Open, type SealFailure, createOpener } from '../crypto/seal.ts'
import type { Observe } from '../observe/events.ts'
import type { Catalogue, CookieRow } from './catalogue.ts'
import { joinValue } from './chunks.ts'
import { codecs } from './contents.ts'
import type { RequestCookies } from './header.ts'
import { type OpenedCache, type OpenedEntry, createOpenedCache } from './opened-cache.ts'
import type { RecordCodec } from './record.ts'
import type { AccessContent, IdentityContent, LoginContent, RefreshContent } from './session.ts'

/** What a cookie turned out to be; whether it has expired is for the caller to decide, every time. */
export type Opened<T> = { readonly kind: 'absent' } | { readonly kind: 'unreadable' } | OpenedEntry<T>

/** Opens cookies; never throws, and every failure looks the same to the caller (EN-10). */
export interface CookieReader {
  access(cookies: RequestCookies, requestId?: string): Opened<AccessContent>
  refresh(cookies: RequestCookies, requestId?: string): Opened<RefreshContent>
  identity(cookies: RequestCookies, requestId?: string): Opened<IdentityContent>
  login(cookies: RequestCookies, id: string, requestId?: string): Opened<LoginContent>
}

interface ReaderParts {
  readonly keys: KeySource
  readonly catalogue: Catalogue
  readonly binding: Binding
  readonly clock: Clock
  readonly observe: Observe
}

const absent: Opened<never> = { kind: 'absent' }
const unreadable: Opened<never> = { kind: 'unreadable' }

/** Several tabs ask in one moment; a refresh token outlives an access token, so it is not kept for longer than that. */
const briefly = { maxAgeMs: 10_000 }

/** A reader for one installation; emits `cookie.opened` and `cookie.unreadable`. */
export function createCookieReader({ keys, catalogue, binding, clock, observe }: ReaderParts): CookieReader {
  const openFor = createOpener({ keys, binding })

  const access = readerOf(catalogue.access, codecs.access, createOpenedCache({ keys, clock }))
  const refresh = readerOf(catalogue.refresh, codecs.refresh, createOpenedCache({ keys, clock }, briefly))
  const identity = readerOf(catalogue.identity, codecs.identity, createOpenedCache({ keys, clock }))

  return {
    access,
    refresh,
    identity,
    login: (cookies, id, requestId) => readerOf(catalogue.login(id), codecs.login)(cookies, requestId),
  }

  function readerOf<T>(row: CookieRow, codec: RecordCodec<T>, cache?: OpenedCache<T>) {
    const open = openFor(row)
    const cookie = row.purpose
    return (cookies: RequestCookies, requestId?: string): Opened<T> => {
      const joined = joinValue(row, cookies.ours)
      if (joined.kind === 'absent') return absent
      if (joined.kind === 'broken') return refuse('chunks')
      const known = cache?.get(joined.value)
      if (known !== undefined) {
        observe.emit('cookie.opened', { cookie, key_id: known.keyId, cached: true })
        return known
      }
      const result = openContent(open, codec, joined.value)
      if (result.kind === 'unreadable') return refuse(result.reason, result.keyId)
      observe.emit('cookie.opened', { cookie, key_id: result.keyId, cached: false })
      cache?.put(joined.value, result)
      return result

      function refuse(reason: SealFailure | 'chunks' | 'record', keyId?: string): Opened<never> {
        observe.emit('cookie.unreadable', { request_id: requestId, cookie, reason, key_id: keyId })
        return unreadable
      }
    }
  }
}

/** Ids of the login cookies that were sent; a name with anything else behind the prefix was not given by us. */
export function loginIds({ loginPrefix }: Pick<Catalogue, 'loginPrefix'>, cookies: RequestCookies): readonly string[] {
  return [...cookies.ours.keys()]
    .filter((name) => name.startsWith(loginPrefix))
    .map((name) => name.slice(loginPrefix.length))
    .filter((id) => /^[\w-]{22}$/.test(id))
}

/** Unseals and reads one value; `record` is the failure of a value that was sealed by us, but by another version. */
export function openContent<T>(
  open: Open,
  codec: RecordCodec<T>,
  value: string,
): OpenedEntry<T> | { readonly kind: 'unreadable'; readonly reason: SealFailure | 'record'; readonly keyId?: string } {
  const unsealed = open(value)
  if (unsealed.kind === 'unreadable') return unsealed
  const content = codec.decode(unsealed.plaintext)
  if (content === undefined) return { kind: 'unreadable', reason: 'record', keyId: unsealed.keyId }
  return { kind: 'opened', content, keyId: unsealed.keyId }
}
