import { expect, it } from 'vitest'
import { createProxyRoute } from '../../oauth-proxy/proxy-route.ts'
import { TokenHandlerError } from '../../shared/errors.ts'
import { createMemoryStore } from '../../shared/store/memory.ts'
import { createManualClock } from '../support/manual-clock.ts'
import { proxyConfig, publicOrigin } from '../support/proxy-world.ts'

it.each([
  ['theme=dark', 'theme=dark'],
  ['lang=en; theme=dark; a=b', 'theme=dark'],
  ['theme=', 'theme='],
  ['theme=a=b', 'theme=a=b'],
  ['lang=en; theme', ''],
  ['themes', ''],
  ['themex; them=dark; Theme=dark; xtheme=dark', ''],
  ['=theme', ''],
  ['', ''],
])('of the cookies "%s" an API for which theme is listed sees "%s"', (others, visible) => {
  expect(routeWith('forward_cookies: [theme]')?.visibleCookies(others)).toBe(visible)
})

it.each([
  ['max_concurrent_requests: 512', 128],
  ['max_concurrent_requests: 4000', 128],
  ['max_concurrent_requests: 255', 128],
  ['max_concurrent_requests: 254', 127],
  ['max_concurrent_requests: 5', 3],
  ['max_concurrent_requests: 2', 1],
  ['max_concurrent_requests: 1', 1],
  ['max_concurrent_requests: 8, max_concurrent_requests_per_session: 7', 7],
  ['max_concurrent_requests: 4000, max_concurrent_requests_per_session: 4000', 4000],
])('%s leaves one session %i places', (more, places) => {
  const route = routeWith(more)
  for (let call = 0; call < places; call++) route?.slots.take('alice')
  expect(() => route?.slots.take('alice')).toThrow(TokenHandlerError)
})

function routeWith(more: string) {
  const { routes } = proxyConfig(`    - { path: /, upstream: 'https://api', ${more} }`).proxy
  const clock = createManualClock()
  const [route] = routes.map((setting) =>
    createProxyRoute(setting, publicOrigin, { clock, store: createMemoryStore({ clock }), readFile: () => '' }),
  )
  return route
}
