import { expect, it } from 'vitest'
import { createProxyRoute } from '../../oauth-proxy/proxy-route.ts'
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
  const { routes } = proxyConfig("    - { path: /, upstream: 'https://api', forward_cookies: [theme] }").proxy
  const clock = createManualClock()
  const [route] = routes.map((setting) =>
    createProxyRoute(setting, publicOrigin, { clock, store: createMemoryStore({ clock }), readFile: () => '' }),
  )
  expect(route?.visibleCookies(others)).toBe(visible)
})
