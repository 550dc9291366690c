import type { Clock } from '../shared/clock.ts'
import type { Route } from '../shared/config/schema.ts'
import { type RateLimiter, createRateLimiter } from '../shared/http/rate-limit.ts'
import type { ReadFile } from '../shared/read-file.ts'
import type { Store } from '../shared/store/store.ts'
import { type Upstreams, createUpstreams } from './forward/upstreams.ts'
import { type Slots, createSlots } from './slots.ts'

/** A route with everything that lives as long as it does. */
export interface ProxyRoute {
  readonly path: string
  readonly methods: readonly string[]
  readonly setting: Route
  /** Undefined where the route sets no limit. */
  readonly limiter: RateLimiter | undefined
  readonly upstreams: Upstreams
  readonly slots: Slots
  /** The header of a fixed key, lower-cased. */
  readonly credentialHeader: string | undefined
  readonly publicHost: string
  readonly publicProtocol: 'http' | 'https'
  /** The cookies that the API may see, out of those that are not ours; empty if there are none. */
  visibleCookies(others: string | undefined): string
}

/** Gives a route its upstreams, slots and limit; throws as `createUpstreams` does. */
export function createProxyRoute(
  setting: Route,
  publicOrigin: string,
  { clock, store, readFile }: { clock: Pick<Clock, 'nowMs'>; store: Pick<Store, 'count'>; readFile: ReadFile },
): ProxyRoute {
  const { host, protocol } = new URL(publicOrigin)
  return {
    path: setting.path,
    methods: setting.methods,
    setting,
    upstreams: createUpstreams(setting, { clock, readFile }),
    slots: createSlots(setting.maxConcurrentRequests, slotsPerSession(setting)),
    limiter:
      setting.rateLimit === undefined
        ? undefined
        : createRateLimiter({
            name: `${setting.methods.join()} ${setting.path}`,
            limit: setting.rateLimit,
            store,
            clock,
          }),
    credentialHeader: setting.credential.kind === 'api_key' ? setting.credential.header.toLowerCase() : undefined,
    publicHost: host,
    publicProtocol: protocol === 'http:' ? 'http' : 'https',
    visibleCookies: (others) => visibleCookies(others, setting.forwardCookies),
  }
}

function visibleCookies(others: string | undefined, names: readonly string[]): string {
  if (others === undefined || names.length === 0) return ''
  return others
    .split('; ')
    .filter((pair) => names.includes(pair.slice(0, Math.max(0, pair.indexOf('=')))))
    .join('; ')
}

/** As many as nginx lets one HTTP/2 connection carry: all tabs of a browser together seldom have more. */
const usualSlotsPerSession = 128

/** How many slots of a route one session may have; if nobody said so, at least half are left to others. */
function slotsPerSession({
  maxConcurrentRequests,
  maxConcurrentRequestsPerSession,
}: Pick<Route, 'maxConcurrentRequests' | 'maxConcurrentRequestsPerSession'>): number {
  return maxConcurrentRequestsPerSession ?? Math.min(usualSlotsPerSession, Math.ceil(maxConcurrentRequests / 2))
}
