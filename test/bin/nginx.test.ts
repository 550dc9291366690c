import { describe, expect, it } from 'vitest'
import { parseConfig } from '../../shared/config/load.ts'
import { luaValue } from '../../bin/nginx/lua.ts'
import { quoted } from '../../bin/nginx/quoted.ts'
import { nginxGroups } from '../../bin/nginx/routes.ts'
import { nginxConfiguration } from '../../bin/nginx/configuration.ts'
import type { NginxFacts } from '../../bin/nginx/facts.ts'
import { formatKeyRingFile } from '../../shared/crypto/key-ring-file.ts'
import { testKeys } from '../support/installation.ts'

const facts: NginxFacts = {
  accessCookie: '__Host-Http-th-at',
  ownPrefixes: ['__Host-Http-th-'],
  hosts: ['www.example.com'],
  managedRequestFields: ['authorization', 'cookie', 'x-real-ip', 'connection'],
  managedRequestPrefixes: ['x-forwarded'],
  refusedResponseFields: ['set-cookie', 'location', 'vary'],
  refusedResponsePrefixes: ['access-control-'],
  luaFolder: '/lua',
  caFile: '/ca.pem',
}

const secretClient = 'client: { id: spa, authentication: client_secret_basic, secret: correct-horse-battery-staple }'

const configOf = (routes: string, settings = '', client = secretClient, server = '') =>
  parseConfig(
    `
public_origin: https://www.example.com
authorization_server: { issuer: https://login.example.com${server} }
${client}
keys: { file: /keys.json }
${settings}
proxy:
  routes:
${routes}`,
    { env: {}, readFile: () => formatKeyRingFile(testKeys()) },
  )

const generate = (routes: string, settings = '') => nginxConfiguration(configOf(routes, settings), facts)
const route = (path: string, more = '') => `    - { path: '${path}', upstream: 'https://api.internal'${more} }\n`

describe('what nginx decides and what stays with the proxy', () => {
  it.each([
    ['', undefined],
    [', credential: { kind: none }', undefined],
    [', anonymous: none', undefined],
    [', headerless: [download]', undefined],
    [', forward_cookies: [theme]', undefined],
    [', credential: { kind: exchange, audience: a }', 'credential exchange'],
    [', credential: { kind: client_credentials }', 'credential client_credentials'],
    [', credential: { kind: api_key, value: abcdefgh }', 'credential api_key'],
    [', anonymous: client_credentials', 'anonymous client_credentials'],
    [', require: { scope: [a] }', 'require'],
    [', require: { acr: [a] }', 'require'],
    [', require: { max_age: 60 }', 'require'],
    [', require: { claims: { a: b } }', 'require'],
    [', websocket: true', 'websocket'],
    [', headerless: [event_stream, download]', 'event_stream'],
    [', allow_set_cookie: [lang]', 'allow_set_cookie'],
    [', rate_limit: { requests: 1, window_seconds: 1 }', 'rate_limit'],
    [', max_concurrent_requests_per_session: 8', 'max_concurrent_requests_per_session'],
    [', max_concurrent_requests: 8, max_concurrent_requests_per_session: 8', undefined],
  ])('%s', (more, reason) => {
    expect(nginxGroups(configOf(route('/api/**', more)))[0]?.handedOver).toBe(reason)
  })

  it('what is handed over goes to the port or the socket of the settings', () => {
    const sockets = generate(
      route('/api/**'),
      'agent: { listen: { socket: /run/agent.sock } }\noperations: { trusted_proxies: ["unix:"] }',
    )
    expect(sockets.http).toContain('upstream token_handler_agent {\n  server "unix:/run/agent.sock";')
    expect(sockets.http).toContain('upstream token_handler_proxy {\n  server 127.0.0.1:8082;')
    expect(sockets.server).toContain('set_real_ip_from unix:;')
  })

  it('idle connections to it end in nginx, before a process that stops closes them', () => {
    const { http } = generate(route('/api/**'))
    const ends = [...http.matchAll(/^upstream [^}]*keepalive_timeout (\w+);\n\}/gm)].map((match) => match[1])
    expect(ends).toEqual(['4000ms', '4000ms', '4s'])
  })

  it.each([
    ['shutdown_wait_seconds: 2', 1600],
    ['shutdown_wait_seconds: 0', 0],
    ['shutdown_wait_seconds: 30, keep_alive_seconds: 1', 800],
    ['shutdown_wait_seconds: 30', 24_000],
  ])('and before it closes them by its settings: %s', (operations, keepAliveMs) => {
    const { http } = generate(route('/api/**'), `operations: { ${operations} }`)
    const ours = http.match(/^upstream token_handler_[^}]*\}/gm) ?? []
    expect(ours).toHaveLength(2)
    for (const upstream of ours) expect(upstream).toContain(`keepalive_timeout ${keepAliveMs}ms;`)
  })

  it.each([
    ['8000', '2500', 60_000],
    ['60000', '2500', 300_000],
    ['8000', '90000', 180_000],
  ])('the agent may take as long as its calls: timeout_ms %s, revocation_timeout_ms %s', (timeout, revocation, ms) => {
    const settings = `logout: { revocation_timeout_ms: ${revocation} }`
    const config = configOf(route('/api/**'), settings, secretClient, `, timeout_ms: ${timeout}`)
    const [, agent = ''] = nginxConfiguration(config, facts).server.split('location ^~ /oauth-agent/ {')
    expect(agent).toMatch(new RegExp(`^[^}]*proxy_read_timeout ${ms}ms;`))
  })

  it('connections to an API end when they are idle, as soon as those of the proxy do, and not by number', () => {
    const { http } = generate(route('/api/**', ', keep_alive_seconds: 1'))
    expect(http).toMatch(/^upstream th_route_0 \{[^}]*\n {2}keepalive_timeout 1s;\n\}$/m)
    expect(http.match(/keepalive_timeout 4000ms;/g)).toHaveLength(2)
    expect(http).toMatch(/^upstream th_route_0 \{[^}]*\n {2}keepalive_requests 100000;$/m)
  })

  it('nothing is decided where a shared store can end sessions', () => {
    const { handedOver, server } = generate(route('/api/**'), 'store: { kind: valkey, url: redis://127.0.0.1 }')
    expect(handedOver).toEqual([{ path: '/api/**', reason: 'the shared store can end sessions at any moment' }])
    expect(server).not.toContain('token_handler.access')
  })

  it('nothing is decided where tokens have to be proved', () => {
    const client =
      'client: { id: app, authentication: client_secret_post, secret: a-secret-of-tests, dpop_bound_access_tokens: true }'
    const { handedOver, server } = nginxConfiguration(configOf(route('/api/**'), '', client), facts)
    expect(handedOver).toEqual([
      { path: '/api/**', reason: 'only the proxy proves access tokens (client.dpop_bound_access_tokens)' },
    ])
    expect(server).not.toContain('token_handler.access')
  })

  it('a path is handed over whole when one of its methods is', () => {
    const routes = route('/a', ', methods: [GET]') + route('/a', ', methods: [POST], anonymous: client_credentials')
    expect(generate(routes).handedOver).toEqual([{ path: '/a', reason: 'anonymous client_credentials' }])
  })
})

describe('locations', () => {
  const matchers = (...paths: string[]) =>
    nginxGroups(configOf(paths.map((path) => route(path)).join(''))).map((group) => group.matchers)

  it('spell patterns without wildcards as prefixes', () => {
    expect(matchers('/a/**', '/a/b')).toEqual([
      ['= /a/b', '= /a/b/'],
      ['= /a', '^~ /a/'],
    ])
    expect(matchers('/', '/**')).toEqual([['= /'], ['^~ /']])
  })

  it('say a path once, where it is a route of its own beside all below it', () => {
    expect(matchers('/a', '/a/**')).toEqual([['= /a', '= /a/'], ['^~ /a/']])
  })

  it('spell all patterns as expressions when one has a wildcard, the most specific first', () => {
    expect(matchers('/**', '/a/**', '/a/*/c', '/a/b.d/c', '/a')).toEqual([
      ['~ "^/a/b\\.d/c/?$"'],
      ['~ "^/a/[^/]+/c/?$"'],
      ['~ "^/a/?$"'],
      ['~ "^/a(?:/.*)?$"'],
      ['~ "^(?:/.*)?$"'],
    ])
  })

  it('are made for as many routes as there are', () => {
    const many = Array.from({ length: 1000 }, (_, index) => route(`/api/${index}`)).join('')
    const config = configOf(many)
    expect(nginxConfiguration(config, facts).server.match(/^location = \/api\//gm)).toHaveLength(2000)
  })

  it('send methods of one path to their own upstreams', () => {
    const { server } = generate(route('/a', ', methods: [GET]') + route('/a', ', methods: [POST]'))
    expect(server).toContain('location @th_route_0 {')
    expect(server).toContain('location @th_route_1 {')
  })
})

describe('the configuration', () => {
  it('takes managed fields out both ways and leaves framing to nginx', () => {
    const { http, server } = generate(route('/api/**'))
    expect(http).toContain('["managed_request_prefixes"] = { "x-forwarded" },')
    expect(http).toContain('["refused_response_prefixes"] = { "access-control-" },')
    expect(server).toContain('proxy_set_header x-real-ip "";')
    expect(server).toContain('proxy_set_header authorization $th_authorization;')
    expect(server).toContain('proxy_set_header cookie "";')
    expect(server).toContain('proxy_hide_header set-cookie;')
    expect(server).not.toContain('proxy_set_header connection')
  })

  it('lets nothing through but what the module has allowed in so many words', () => {
    const { server } = generate(route('/a') + route('/b', ', methods: [GET]') + route('/b', ', methods: [POST]'))
    const decided = server.match(
      /set_by_lua_block \$th_decision .*\n\s*if \(\$th_decision != allowed\) \{ .*return 592; \}/g,
    )
    expect(decided).toHaveLength(server.match(/set_by_lua_block/g)?.length ?? 0)
    expect(decided).toHaveLength(4)
  })

  it('leaves the limits of a route to the proxy that carries it out', () => {
    const { server } = generate(route('/chat', ', websocket: true, stream_idle_timeout_ms: 7200000'))
    const [, chat = ''] = server.split('location = /chat {')
    expect(chat).toMatch(/^[^}]*client_max_body_size 0;[^}]*proxy_read_timeout 7201000ms;[^}]*proxy_pass/)
  })

  it('checks the head of what it passes on to the proxy, in so many words', () => {
    const { server } = generate(route('/chat', ', websocket: true') + route('/other', ', require: { scope: [a] }'))
    const checks = server.match(
      /set_by_lua_block \$th_decision \{ return token_handler\.check_head\(\) \}\n\s*if \(\$th_decision != allowed\) \{ .*return 592; \}/g,
    )
    expect(checks).toHaveLength(4)
    expect(server.match(/proxy_pass http:\/\/token_handler_proxy;/g)).toHaveLength(4)
  })

  it('verifies the certificate of the API', () => {
    const { server } = generate(route('/api/**'))
    expect(server).toContain('proxy_ssl_verify on;')
    expect(server).toContain('proxy_ssl_name "api.internal";')
    // nginx before 1.27 would speak TLS 1.0 as well (FA-1).
    expect(server).toContain('proxy_ssl_protocols TLSv1.2 TLSv1.3;')
    expect(server).toContain('proxy_ssl_server_name on;')
    expect(server).toContain('proxy_ssl_trusted_certificate "/ca.pem";')
  })

  it('believes forwarded addresses of listed hops only', () => {
    expect(generate(route('/a')).server).not.toContain('set_real_ip_from')
    const { server } = generate(route('/a'), 'operations: { trusted_proxies: [10.0.0.0/8] }')
    expect(server).toContain('set_real_ip_from 10.0.0.0/8;')
  })

  it('reads IPv4 ranges in IPv6 form as the processes do, and not as the IPv6 addresses that begin alike', () => {
    const ranges = ['::ffff:10.0.0.0/8', '::FFFF:a00:1', 'fd00::/64', 'unix:']
    const { server } = generate(route('/a'), `operations: { trusted_proxies: ${JSON.stringify(ranges)} }`)
    const read = [...server.matchAll(/^set_real_ip_from (.+);$/gm)].map((match) => match[1])
    expect(read).toEqual(['10.0.0.0/8', '10.0.0.1/32', 'fd00::/64', 'unix:'])
  })

  it('holds no secret', () => {
    const { http, server } = generate(route('/a'))
    expect(http + server).not.toContain('correct-horse')
    expect(http).toContain('["key_file"] = "/keys.json"')
  })
})

describe('Lua literals', () => {
  it('are what they stand for', () => {
    expect(luaValue({ a: 'b', c: [1, true], d: undefined, e: {} })).toBe(
      '{\n  ["a"] = "b",\n  ["c"] = { 1, true },\n  ["e"] = {},\n}',
    )
  })

  it('are put together where they are long, and no character is cut in two', () => {
    const [one, two] = ['a'.repeat(499), '\\'.repeat(500)]
    expect(luaValue({ [`${one}😀${two}`]: 'b' })).toBe(`{\n  ["${one}😀" .. "${two}${two}"] = "b",\n}`)
    expect(luaValue('')).toBe('""')
  })
})

describe('text in quotes', () => {
  it('cannot leave them', () => {
    expect(quoted('a"]] .. os.exit() --\\')).toBe('"a\\"]] .. os.exit() --\\\\"')
    expect(() => quoted('a\nb')).toThrow(RangeError)
  })
})
