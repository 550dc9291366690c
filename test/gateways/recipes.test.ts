import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { identityHeaderNames } from '../../oauth-proxy/identity-headers.ts'
import { root } from '../house/source-files.ts'
import { programPath } from '../support/gateway.ts'
import { otherRecipes, packagedRecipes } from '../support/gateway-recipes.ts'

const textOf = ({ files }: { readonly files: Readonly<Record<string, string>> }) =>
  Object.values(files)
    .map((path) => readFileSync(join(root, path), 'utf8'))
    .join('\n')

/** What the answer to a gateway sets on the request for the API. */
const fromTheAnswer = ['authorization', 'cookie', 'x-request-id', ...identityHeaderNames]
/** What browsers send that must not reach an API as the word of a gateway. */
const taken = [
  'forwarded',
  'x-rewrite-url',
  'x-http-method',
  'x-http-method-override',
  'x-method-override',
  'x-middleware-subrequest',
  'x-csrf-token',
  'token-handler-gateway',
]

describe.each([...packagedRecipes, ...otherRecipes])('the recipe of $gateway', (recipe) => {
  const text = textOf(recipe).toLowerCase()
  it.each(fromTheAnswer)('takes %s from the answer', (name) => {
    expect(text).toContain(name)
  })
  it.each(taken)('takes %s away', (name) => {
    // The whole name: a longer one that begins with it takes nothing away.
    expect(text).toMatch(new RegExp(`(?<!\\w-?)${name}(?![\\w-])`))
  })
  it('says which settings it goes with', () => {
    expect(text).toContain(
      `forward_auth: { gateway: ${recipe.gateway}, peers: [127.0.0.1], secret_file: gateway-secret }`,
    )
  })
})

describe('connections to agent and proxy end in the gateway before a process that stops closes them', () => {
  const read = (path: string) => readFileSync(join(root, path), 'utf8')
  it.each(['deploy/nginx/forward-auth.conf', 'deploy/compose/nginx.conf'])('%s', (path) => {
    const upstreams = read(path).match(/^ *upstream [^}]*\}/gm) ?? []
    expect(upstreams.length).toBeGreaterThan(1)
    for (const upstream of upstreams) expect(upstream).toContain('keepalive_timeout 4s;')
  })
  it.each([
    ['deploy/caddy/Caddyfile', /transport http \{\s*keepalive 4s/g, 3],
    ['deploy/haproxy/haproxy.cfg', /backend oauth_agent\n(?: +#.*\n)* +option http-server-close/g, 1],
    ['deploy/apache/token-handler.conf', /ProxyPass .* ttl=4$/gm, 2],
    ['deploy/traefik/dynamic.yaml', /serversTransport: short-idle$/gm, 2],
    ['deploy/envoy/envoy.yaml', /idle_timeout: 4s/g, 3],
  ])('%s', (path, limit, times) => {
    expect(read(path).match(limit)).toHaveLength(times)
  })
})

/** These two are driven by forward-auth.test.ts where they are installed; here their files are read. */
describe.each(otherRecipes)('$gateway, read and not driven', (recipe) => {
  it(`is ${programPath(recipe.program) === undefined ? 'not on this machine' : 'on this machine and driven as well'}`, () => {
    for (const path of Object.values(recipe.files)) {
      expect(parse(readFileSync(join(root, path), 'utf8')), path).toBeTypeOf('object')
    }
  })
})

describe('what a reader of the files can see', () => {
  it('nginx gives a refusal the status that the proxy meant, also that of a failure of ours', () => {
    const config = readFileSync(join(root, 'deploy/nginx/forward-auth.conf'), 'utf8')
    const restored = [...config.matchAll(/if \(\$th_status = (\d+)\) \{ return \1 \$th_body; \}/g)].map(
      ([, status]) => status,
    )
    expect(restored).toEqual(['400', '401', '404', '405', '421', '429', '500', '502', '503'])
  })

  interface TraefikFile {
    http: {
      routers: Record<string, { middlewares?: string[]; service: string }>
      middlewares: Record<
        string,
        {
          headers?: { customRequestHeaders: Record<string, string> }
          forwardAuth?: { trustForwardHeader: boolean; authResponseHeaders: string[] }
        }
      >
      services: Record<string, unknown>
    }
  }
  const { http } = parse(readFileSync(join(root, 'deploy/traefik/dynamic.yaml'), 'utf8')) as TraefikFile
  it('traefik cleans, asks and tidies in this order on the way to the API', () => {
    for (const name of ['orders-api', 'orders-api-websocket']) {
      expect(http.routers[name]?.middlewares?.slice(0, 3)).toEqual([
        'token-handler-clean',
        'token-handler-ask',
        'token-handler-tidy',
      ])
    }
    for (const { middlewares = [], service } of Object.values(http.routers)) {
      expect(Object.keys(http.services)).toContain(service)
      for (const name of middlewares) expect(Object.keys(http.middlewares)).toContain(name)
    }
  })
  it('traefik believes no X-Forwarded-* of browsers and takes every header of the answer', () => {
    const { trustForwardHeader, authResponseHeaders } = http.middlewares['token-handler-ask']?.forwardAuth ?? {}
    expect(trustForwardHeader).toBe(false)
    expect(authResponseHeaders?.map((name) => name.toLowerCase()).sort()).toEqual([...fromTheAnswer].sort())
  })
  it('traefik deletes identity headers before it asks', () => {
    const { customRequestHeaders = {} } = http.middlewares['token-handler-clean']?.headers ?? {}
    const deleted = Object.entries(customRequestHeaders).flatMap(([name, value]) =>
      value === '' ? [name.toLowerCase()] : [],
    )
    for (const name of identityHeaderNames) expect(deleted).toContain(name)
  })

  interface EnvoyFilter {
    name: string
    typed_config: {
      failure_mode_allow?: boolean
      mutations?: { request_mutations: { remove: string }[] }
      http_service?: {
        path_prefix: string
        authorization_response: { allowed_upstream_headers: { patterns: { exact: string }[] } }
      }
    }
  }
  interface EnvoyFile {
    static_resources: {
      listeners: {
        filter_chains: {
          filters: { typed_config: { normalize_path: boolean; merge_slashes: boolean; http_filters: EnvoyFilter[] } }[]
        }[]
      }[]
    }
  }
  const envoy = parse(readFileSync(join(root, 'deploy/envoy/envoy.yaml'), 'utf8')) as EnvoyFile
  const manager = envoy.static_resources.listeners[0]?.filter_chains[0]?.filters[0]?.typed_config
  const [mutation, authorization, router] = manager?.http_filters ?? []
  it('envoy leaves paths as they are, cleans, asks, then routes', () => {
    expect(manager).toMatchObject({ normalize_path: false, merge_slashes: false })
    expect(manager?.http_filters.map(({ name }) => name)).toEqual([
      'envoy.filters.http.header_mutation',
      'envoy.filters.http.ext_authz',
      'envoy.filters.http.router',
    ])
    expect(router).toBeDefined()
  })
  it('envoy refuses when it gets no answer, and takes every header of the answer', () => {
    expect(authorization?.typed_config.failure_mode_allow).toBe(false)
    const { patterns = [] } =
      authorization?.typed_config.http_service?.authorization_response.allowed_upstream_headers ?? {}
    expect(patterns.map(({ exact }) => exact).sort()).toEqual([...fromTheAnswer].sort())
  })
  it('envoy deletes identity headers before it asks', () => {
    const removed = mutation?.typed_config.mutations?.request_mutations.map(({ remove }) => remove) ?? []
    for (const name of identityHeaderNames) expect(removed).toContain(name)
  })
})
