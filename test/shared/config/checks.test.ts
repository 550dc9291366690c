import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { createCertificate } from '../../support/certificate.ts'
import { parse, pathsOf, problemsOf, settingsFile } from './settings.ts'

const local = { public_origin: 'http://localhost:3000', insecure_allow_http: true }
const route = (change: object) => ({ proxy: { routes: [{ path: '/api/**', upstream: 'https://api', ...change }] } })

const boundTokens = {
  client: { id: 'app', authentication: 'client_secret_post', secret: 'x', dpop_bound_access_tokens: true },
}
const asking = { forward_auth: { gateway: 'nginx', peers: ['127.0.0.1'], secret: 'only-the-gateway-knows' } }
const openToAll = { credential: { kind: 'none' }, anonymous: 'client_credentials' }

const essentialAcr = (values: string) => `{"id_token":{"acr":{"essential":true,"values":${values}}}}`

describe('settings that are refused', () => {
  it.each<[string, object, string]>([
    ['http: public origin (N10)', { public_origin: 'http://www.example.com' }, 'public_origin'],
    ['http: localhost without the insecure setting', { public_origin: 'http://localhost' }, 'public_origin'],
    ['insecure setting on a public origin', { insecure_allow_http: true }, 'insecure_allow_http'],
    ['plain cookies on a public origin', { cookies: { insecure_plain: true } }, 'cookies.insecure_plain'],
    [
      'plain cookies where https: would keep the others',
      { public_origin: 'https://localhost', cookies: { insecure_plain: true } },
      'cookies.insecure_plain',
    ],
    [
      'plain cookies that have to be SameSite=None',
      {
        ...local,
        cookies: { insecure_plain: true },
        login: { navigation: { enabled: true, response_mode: 'form_post' } },
      },
      'cookies.insecure_plain',
    ],
    [
      'a base of proofs where no call is proved',
      route({ dpop_base_url: 'https://api.example.com' }),
      'proxy.routes[0].dpop_base_url',
    ],
    ...[{ credential: { kind: 'none' } }, { credential: { kind: 'api_key', value: 'abcdefgh' } }].map(
      (change): [string, object, string] => [
        `a base of proofs where none is made: ${JSON.stringify(change)}`,
        { ...boundTokens, ...route({ dpop_base_url: 'https://api.example.com', ...change }) },
        'proxy.routes[0].dpop_base_url',
      ],
    ),
    ...[
      'https://api.example.com/',
      'https://api/?x',
      'https://me@api',
      'https://api/#x',
      'https://api#',
      'api.example.com',
      'https:api.example.com',
      'https://API.example.com',
      'https://api.example.com:443',
      'https://api.example.com/a/../b',
      'https://api.example.com\\v2',
      ' https://api.example.com',
    ].map((url): [string, object, string] => [
      `a base of proofs such as ${url}`,
      { ...boundTokens, ...route({ dpop_base_url: url }) },
      'proxy.routes[0].dpop_base_url',
    ]),
    ...[
      {},
      { credential: { kind: 'exchange', audience: 'x' } },
      { credential: { kind: 'client_credentials' } },
      openToAll,
    ].map((change): [string, object, string] => [
      `a gateway that cannot prove what it gets: ${JSON.stringify(change)}`,
      { ...boundTokens, proxy: { ...asking, ...route(change).proxy } },
      'proxy.forward_auth.gateway',
    ]),
    [
      'a key of proofs that a page may name',
      { login: { allowed_parameters: ['dpop_jkt'] } },
      'login.allowed_parameters[0]',
    ],
    ['http: issuer', { authorization_server: { issuer: 'http://login.example.com' } }, 'authorization_server.issuer'],
    ['issuer with a query', { authorization_server: { issuer: 'https://a/?x=1' } }, 'authorization_server.issuer'],
    [
      'the metadata document for the issuer',
      { authorization_server: { issuer: 'https://a/.well-known/openid-configuration' } },
      'authorization_server.issuer',
    ],
    ['issuer with a fragment', { authorization_server: { issuer: 'https://a/#x' } }, 'authorization_server.issuer'],
    ...[
      'http://user:password@proxy:3128',
      'http://@proxy:3128',
      'http://proxy:3128/',
      'http://proxy:3128/path',
      'http://proxy:3128?x',
      'http://proxy:3128#x',
      'http://proxy:65536',
      'socks5://proxy:1080',
      'proxy:3128',
    ].map((url): [string, object, string] => [
      `the HTTP proxy at ${url}`,
      { authorization_server: { http_proxy: url } },
      'authorization_server.http_proxy',
    ]),
    [
      'an http: issuer, which the HTTP proxy could read',
      { ...local, authorization_server: { issuer: 'http://localhost:1', http_proxy: 'http://proxy:3128' } },
      'authorization_server.http_proxy',
    ],
    [
      'credentials for no HTTP proxy',
      { authorization_server: { http_proxy_authorization: 'Basic eDp5' } },
      'authorization_server.http_proxy_authorization',
    ],
    ...['user:password', 'Basic', 'Basic ', 'Basic eDp5\r\nx: y', 'Basic é'].map((value): [string, object, string] => [
      `the credentials ${JSON.stringify(value)}`,
      { authorization_server: { http_proxy: 'http://proxy:3128', http_proxy_authorization: value } },
      'authorization_server.http_proxy_authorization',
    ]),
    ['public origin with a path', { public_origin: 'https://www.example.com/app' }, 'public_origin'],
    ['public origin in capitals', { public_origin: 'https://WWW.example.com' }, 'public_origin'],
    ['public origin of another scheme', { public_origin: 'wss://www.example.com' }, 'public_origin'],
    ...[
      'redis://:pa/ss@valkey:6379',
      'redis://:pa#ss@valkey:6379',
      'redis://:100%@valkey:6379',
      'redis://valkey:65536',
      'redis://user@',
      'redis://valkey/name',
      'redis://valkey/100000',
      'redis://valkey?db=1',
      'redis://valkey#1',
      'http://valkey:6379',
    ].map((url): [string, object, string] => [`the store at ${url}`, { store: { kind: 'valkey', url } }, 'store.url']),
    ['no time to sign in', { login: { attempt_seconds: 0 } }, 'login.attempt_seconds'],
    ['plain http: upstream', route({ upstream: 'http://api.internal' }), 'proxy.routes[0].upstream'],
    ['one of several upstreams plain', route({ upstream: ['https://a', 'http://b'] }), 'proxy.routes[0].upstream'],
    ['half a client certificate', route({ client_certificate_file: 'a' }), 'proxy.routes[0]'],
    ...(['agent', 'proxy'] as const).flatMap((part): [string, object, string][] => {
      const listen = (settings: object) => ({
        [part]: { listen: settings },
        operations: { trusted_proxies: ['unix:'] },
      })
      const pair = { certificate_file: 'a', private_key_file: 'b' }
      const [certificate, key] = [{ certificate_file: 'a' }, { private_key_file: 'b' }]
      return [
        [`a certificate of the ${part} without its key`, listen(certificate), `${part}.listen`],
        [`a key of the ${part} without its certificate`, listen(key), `${part}.listen`],
        [`clients of the ${part} asked in vain`, listen({ client_ca_file: 'c' }), `${part}.listen.client_ca_file`],
        [`TLS of the ${part} at a socket`, listen({ ...pair, socket: '/a' }), `${part}.listen.certificate_file`],
      ]
    }),
    ['TLS for operations', { operations: { listen: { certificate_file: 'a' } } }, 'operations.listen.certificate_file'],
    [
      'our cookie shown to an API',
      route({ forward_cookies: ['__Host-Http-th-at'] }),
      'proxy.routes[0].forward_cookies[0]',
    ],
    [
      'our cookie in other case',
      route({ forward_cookies: ['__HOST-http-TH-rt'] }),
      'proxy.routes[0].forward_cookies[0]',
    ],
    ['our cookie set by an API', route({ allow_set_cookie: ['__Http-th-id'] }), 'proxy.routes[0].allow_set_cookie[0]'],
    ['a cookie name with a space', route({ forward_cookies: ['a b'] }), 'proxy.routes[0].forward_cookies[0]'],
    ['headerless WebSockets nowhere accepted', route({ headerless: ['websocket'] }), 'proxy.routes[0].headerless'],
    ['WebSockets without GET', route({ websocket: true, methods: ['POST'] }), 'proxy.routes[0].methods'],
    ['downloads without GET', route({ headerless: ['download'], methods: ['POST'] }), 'proxy.routes[0].methods'],
    [
      'everybody as trusted proxy (H06)',
      { operations: { trusted_proxies: ['::/0'] } },
      'operations.trusted_proxies[0]',
    ],
    ['everybody in other words', { operations: { trusted_proxies: ['10.0.0.0/00'] } }, 'operations.trusted_proxies[0]'],
    ['a range that is none', { operations: { trusted_proxies: ['10.0.0.0/40'] } }, 'operations.trusted_proxies[0]'],
    ['a prefix with a zero', { operations: { trusted_proxies: ['10.0.0.0/08'] } }, 'operations.trusted_proxies[0]'],
    [
      'IPv4 in IPv6 clothes with a prefix of IPv6',
      { operations: { trusted_proxies: ['::ffff:10.0.0.0/104'] } },
      'operations.trusted_proxies[0]',
    ],
    [
      'an address with its interface, which is not compared',
      { operations: { trusted_proxies: ['fe80::1%eth0'] } },
      'operations.trusted_proxies[0]',
    ],
    ...['10.0.0.5/8', 'fd00::1/64', '::ffff:10.0.0.5/24'].map((range): [string, object, string] => [
      `an address with the length of its network, ${range}`,
      { operations: { trusted_proxies: ['192.0.2.0/24', range] } },
      'operations.trusted_proxies[1]',
    ]),
    [
      'the same of a gateway',
      { proxy: { forward_auth: { ...asking.forward_auth, peers: ['10.0.3.1/24'] } } },
      'proxy.forward_auth.peers[0]',
    ],
    ['a short form of an address', { operations: { trusted_proxies: ['127.1'] } }, 'operations.trusted_proxies[0]'],
    ['a host name as range', { operations: { trusted_proxies: ['gateway'] } }, 'operations.trusted_proxies[0]'],
    [
      'a gateway that may not ask',
      { proxy: { forward_auth: { gateway: 'nginx', secret: 'only-the-gateway-knows' } } },
      'proxy.forward_auth.peers',
    ],
    [
      'a gateway with a secret that can be guessed',
      { proxy: { forward_auth: { gateway: 'nginx', peers: ['127.0.0.1'], secret: 'fifteen-letters' } } },
      'proxy.forward_auth.secret',
    ],
    [
      'a gateway that shows no secret (J10)',
      { proxy: { forward_auth: { gateway: 'nginx', peers: ['127.0.0.1'] } } },
      'proxy.forward_auth.secret',
    ],
    [
      'a gateway without a secret off this machine',
      { proxy: { forward_auth: { gateway: 'nginx', peers: ['127.0.0.1'], insecure_no_secret: true } } },
      'proxy.forward_auth.insecure_no_secret',
    ],
    ...['not a host', '', 'http://0.0.0.0', '[::1]', '127.1', '10.0.0.256', '-a.example', 'a..b', 'x'.repeat(64)].map(
      (host): [string, object, string] => [
        `listening at ${JSON.stringify(host)}`,
        { operations: { listen: { host } } },
        'operations.listen.host',
      ],
    ),
    ['metrics on the public port', { operations: { listen: { port: 8082 } } }, 'operations.listen.port'],
    [
      'a Unix socket beside a port',
      { proxy: { listen: { socket: '/run/proxy.sock', port: 8000 } }, operations: { trusted_proxies: ['unix:'] } },
      'proxy.listen.socket',
    ],
    [
      'a Unix socket with a path longer than systems take',
      { agent: { listen: { socket: `/run/${'x'.repeat(99)}` } }, operations: { trusted_proxies: ['unix:'] } },
      'agent.listen.socket',
    ],
    [
      'a Unix socket through which all clients seem to be one',
      { agent: { listen: { socket: '/run/agent.sock' } } },
      'operations.trusted_proxies',
    ],
    [
      'a gateway that may ask, but not through the socket',
      {
        proxy: {
          listen: { socket: '/run/proxy.sock' },
          forward_auth: { gateway: 'nginx', peers: ['127.0.0.1'], secret: 'only-the-gateway-knows' },
        },
        operations: { trusted_proxies: ['unix:'] },
      },
      'proxy.forward_auth.peers',
    ],
    ['a route below the agent', route({ path: '/oauth-agent/x' }), 'proxy.routes[0].path'],
    ...['/oauth-proxy/verify', '/oauth-proxy/verify/**'].map((path): [string, object, string] => [
      `a route at ${path}, where a gateway asks`,
      {
        proxy: {
          forward_auth: { gateway: 'nginx', peers: ['127.0.0.1'], secret: 'only-the-gateway-knows' },
          routes: [{ path, upstream: 'https://api' }],
        },
      },
      'proxy.routes[0].path',
    ]),
    ...['', '//', '/a/', '/a//b', '/api/../x', '/api/.', '/api/a.', '/a./**', '/a*', '/**/a'].map(
      (path): [string, object, string] => [`a route at "${path}"`, route({ path }), 'proxy.routes[0].path'],
    ),
    [
      'forward-auth below the agent',
      { proxy: { forward_auth: { path: '/oauth-agent/verify' } } },
      'proxy.forward_auth.path',
    ],
    ['the public origin as sibling', { cors: { origins: ['https://www.example.com'] } }, 'cors.origins[0]'],
    ['a foreign site as sibling', { cors: { origins: ['https://www.example.org'] } }, 'cors.origins[0]'],
    ['a sibling over http:', { cors: { origins: ['http://app.example.com'] } }, 'cors.origins[0]'],
    ['a header that is none', { cors: { request_headers: ['X Tenant'] } }, 'cors.request_headers[0]'],
    ['any header', { cors: { response_headers: ['*'] } }, 'cors.response_headers[0]'],
    ['any origin', { cors: { origins: ['*'] } }, 'cors.origins[0]'],
    ['pages that may not call the agent', { page_origin: 'https://app.example.com' }, 'page_origin'],
    ['idle longer than absolute', { session: { idle_seconds: 7200, absolute_seconds: 3600 } }, 'session.idle_seconds'],
    ['longer than browsers keep cookies', { session: { absolute_seconds: 40_000_000 } }, 'session.absolute_seconds'],
    ['aal2 over a day', { session: { profile: 'aal2', absolute_seconds: 86_401 } }, 'session.absolute_seconds'],
    ['aal3 idle over 15 minutes', { session: { profile: 'aal3', idle_seconds: 901 } }, 'session.idle_seconds'],
    ['claims that do not tell users apart', { login: { claims: ['name'] } }, 'login.claims'],
    [
      'a lead that no access token outlives',
      { session: { max_access_token_seconds: 300, refresh_ahead_seconds: 300 } },
      'session.refresh_ahead_seconds',
    ],
    ['a wait in milliseconds', { operations: { shutdown_wait_seconds: 3601 } }, 'operations.shutdown_wait_seconds'],
    [
      'a drain in milliseconds',
      { operations: { shutdown_drain_seconds: 25_000 } },
      'operations.shutdown_drain_seconds',
    ],
    ...[
      ['authorization_server', 'timeout_ms', 2_147_483_648],
      ['logout', 'revocation_timeout_ms', 2_147_483_648],
      // Node adds a second to this one.
      ['operations', 'keep_alive_seconds', 2_147_483],
      ['operations', 'request_timeout_seconds', 9_007_199_254_740_991],
    ].map(([section, name, value]): [string, object, string] => [
      `${name} beyond what a timer can wait`,
      { [String(section)]: { [String(name)]: value } },
      `${section}.${name}`,
    ]),
    [
      'a store that may take longer than a timer can wait',
      { store: { kind: 'valkey', url: 'redis://a', timeout_ms: 2_147_483_648 } },
      'store.timeout_ms',
    ],
    ...['connect_timeout_ms', 'response_timeout_ms', 'idle_timeout_ms', 'stream_idle_timeout_ms'].map(
      (name): [string, object, string] => [
        `${name} of a route beyond what a timer can wait`,
        route({ [name]: 2_147_483_648 }),
        `proxy.routes[0].${name}`,
      ],
    ),
    ...[0, 1.5, 601].map((seconds): [string, object, string] => [
      `an API whose idle connections are kept for ${seconds} seconds`,
      route({ keep_alive_seconds: seconds }),
      'proxy.routes[0].keep_alive_seconds',
    ]),
    [
      'a rate limit whose count would be forgotten at once',
      route({ rate_limit: { requests: 1, window_seconds: 2_147_484 } }),
      'proxy.routes[0].rate_limit.window_seconds',
    ],
    [
      'a rate limit of the agent whose count would be forgotten at once',
      { agent: { rate_limits: { login: { window_seconds: 2_147_484 } } } },
      'agent.rate_limits.login.window_seconds',
    ],
    ['scope without openid', { login: { scope: 'profile openid2' } }, 'login.scope'],
    ['request objects without a key', { login: { signed_request_object: true } }, 'login.signed_request_object'],
    ['a fixed age in words', { login: { extra_parameters: { max_age: '1h' } } }, 'login.extra_parameters.max_age'],
    ['fixed claims in words', { login: { extra_parameters: { claims: 'acr' } } }, 'login.extra_parameters.claims'],
    ['fixed claims as a list', { login: { extra_parameters: { claims: '[]' } } }, 'login.extra_parameters.claims'],
    // What no sign-in could be started with: each was answered 400 parameter_not_allowed, whatever the page sent.
    ...['', 'gold  silver', 'gold\nsilver', 'größer', 'x'.repeat(257), 'gold '.repeat(205) + 'gold'].map(
      (levels): [string, object, string] => [
        `fixed levels such as ${JSON.stringify(levels.slice(0, 20))}`,
        { login: { extra_parameters: { acr_values: levels } } },
        'login.extra_parameters.acr_values',
      ],
    ),
    ...['{\n}', ...['"gold"', '[5]', '[""]', '[]'].map((values) => essentialAcr(values))].map(
      (claims): [string, object, string] => [
        `fixed claims such as ${JSON.stringify(claims)}`,
        { login: { extra_parameters: { claims } } },
        'login.extra_parameters.claims',
      ],
    ),
    ...['orders\n', 'größer', 'a\tb'].map((scope): [string, object, string] => [
      `an optional scope that nobody can ask for: ${JSON.stringify(scope)}`,
      { login: { optional_scope: scope } },
      'login.optional_scope',
    ]),
    // Nobody could meet them: a list in one text, as scopes are written elsewhere.
    ...['scope', 'acr'].flatMap((name) =>
      ['', 'gold silver', 'gold\n'].map((text): [string, object, string] => [
        `a required ${name} such as ${JSON.stringify(text)}`,
        route({ require: { [name]: ['openid', text] } }),
        `proxy.routes[0].require.${name}[1]`,
      ]),
    ),
    [
      'a claim of which no value will do',
      route({ require: { claims: { groups: [] } } }),
      'proxy.routes[0].require.claims.groups',
    ],
    ...['audience', 'requested_token_type'].map((name): [string, object, string] => [
      `an exchange for an empty ${name}`,
      route({ credential: { kind: 'exchange', scope: 'orders', [name]: '' } }),
      `proxy.routes[0].credential.${name}`,
    ]),
    ...['scope', 'resource', 'authorization_details'].map((name): [string, object, string] => [
      `${name} where nothing else would hear of it`,
      { login: { extra_parameters: { [name]: 'x' } } },
      `login.extra_parameters.${name}`,
    ]),
    ['a fixed sub', { login: { extra_parameters: { sub: 'shop' } } }, 'login.extra_parameters.sub'],
    ['a fixed state', { login: { extra_parameters: { state: 'x' } } }, 'login.extra_parameters.state'],
    [
      'a fixed redirect_uri',
      { login: { extra_parameters: { redirect_uri: 'x' } } },
      'login.extra_parameters.redirect_uri',
    ],
    ...[
      'redirect_uri',
      'response_mode',
      'client_assertion',
      'sub',
      'authorization_details',
      'resource',
      'return_to',
      'a=b',
    ].map((name): [string, object, string] => [
      `${name} as the choice of a page`,
      { login: { allowed_parameters: ['prompt', name] } },
      'login.allowed_parameters[1]',
    ]),
    ...['refresh_token', 'client_secret', 'resource', 'activity'].map((name): [string, object, string] => [
      `${name} of a refresh as the choice of a page`,
      { session: { allowed_refresh_parameters: [name] } },
      'session.allowed_refresh_parameters[0]',
    ]),
    ['a relative resource', { login: { resource: ['/api'] } }, 'login.resource[0]'],
    ...['https://a.test/#part', 'https://a.test/#'].map((resource): [string, object, string] => [
      `a resource with a fragment (X-6): ${resource}`,
      { login: { resource: [resource] } },
      'login.resource[0]',
    ]),
    ...['exchange', 'client_credentials'].map((kind): [string, object, string] => [
      `a relative resource of a route (X-6): ${kind}`,
      route({ credential: { kind, resource: 'orders' } }),
      'proxy.routes[0].credential.resource',
    ]),
    [
      'a resource with a fragment for visitors (X-6)',
      route({ anonymous: 'client_credentials', anonymous_token: { resource: 'https://a.test/#' } }),
      'proxy.routes[0].anonymous_token.resource',
    ],
    ['a page at the path of the agent', { logout: { return_path: '/oauth-agent/' } }, 'logout.return_path'],
    ...['', 'app/', '//', '/app//', '/app//x', '/../', '/app/./', '/app/?x', '/app/#x', '/%61pp/', '/a\\\\b'].map(
      (page): [string, object, string] => [
        `a page at ${page}`,
        { logout: { return_path: page } },
        'logout.return_path',
      ],
    ),
    ['a redirect page below the agent', { login: { redirect_path: '/oauth-agent/cb' } }, 'login.redirect_path'],
    ['a store that is no store', { store: { kind: 'valkey', url: 'http://a' } }, 'store.url'],
    ['a store whose scheme only ends as one', { store: { kind: 'valkey', url: 'x-redis://a' } }, 'store.url'],
    [
      'an issuer whose scheme only ends as one',
      { authorization_server: { issuer: 'xhttps://login.example.com' } },
      'authorization_server.issuer',
    ],
    [
      'traces to a scheme that only ends as one',
      { observability: { otlp_endpoint: 'xhttp://collector:4318/v1/traces' } },
      'observability.otlp_endpoint',
    ],
    ...[
      ['authorization_server.issuer', { authorization_server: { issuer: 'https://*.example.com' } }],
      ['authorization_server.http_proxy', { authorization_server: { http_proxy: 'http://*:3128' } }],
      ['proxy.routes[0].upstream', route({ upstream: 'https://*.internal.example.com' })],
      ['proxy.routes[0].upstream[1]', route({ upstream: ['https://a', 'https://(b)'] })],
      ['store.url', { store: { kind: 'valkey', url: 'redis://*.example.com' } }],
      ['observability.otlp_endpoint', { observability: { otlp_endpoint: 'http://*:4318/v1/traces' } }],
    ].map(([path, change]): [string, object, string] => [
      `a pattern for the host: ${JSON.stringify(change)}`,
      Object(change),
      String(path),
    ]),
    ['an upstream that is no URL', route({ upstream: ['https://a', 'b'] }), 'proxy.routes[0].upstream[1]'],
    ['traces to nowhere', { observability: { otlp_endpoint: 'collector:4318' } }, 'observability.otlp_endpoint'],
    [
      'a client id and an issuer that are too long to derive a key for bound tokens from',
      { authorization_server: { issuer: `https://${'i'.repeat(995)}.example` }, ...boundTokens },
      'client.dpop_bound_access_tokens',
    ],
    [
      'an issuer that is longer than cookies can be bound to',
      { authorization_server: { issuer: `https://login.example.com/${'i'.repeat(2048)}` } },
      'authorization_server.issuer',
    ],
    ['an agent path with dots', { agent: { path: '/a/../b' } }, 'agent.path'],
    // Cookies with that path would go to every page of the origin.
    ['an agent at the root', { agent: { path: '/' }, cookies: { refresh_path: 'agent' } }, 'agent.path'],
  ])('%s', (_, change, path) => {
    expect(pathsOf(settingsFile({ ...change }))).toEqual([path])
  })
})

it.each([
  ['agent', 'unix:/run/agent.sock', 'Write the path of a Unix socket as agent.listen.socket.'],
  ['proxy', '/run/proxy.sock', 'Write the path of a Unix socket as proxy.listen.socket.'],
  ['operations', 'unix:/run/operations.sock', 'Write an address; operations has no Unix socket.'],
])('the path of a socket as the host of %s is led to its place', (name, host, remedy) => {
  expect(problemsOf(settingsFile({ [name]: { listen: { host } } }))).toMatchObject([
    { path: `${name}.listen.host`, remedy },
  ])
})

it('the insecure setting opens nothing on a public origin', () => {
  const text = settingsFile({
    public_origin: 'http://www.example.com',
    authorization_server: { issuer: 'http://login.example.com' },
    insecure_allow_http: true,
  })
  expect(pathsOf(text)).toEqual(['insecure_allow_http', 'public_origin', 'authorization_server.issuer'])
})

describe('settings that are accepted', () => {
  it.each<[string, object]>([
    [
      'pages with a slash at their end, as below a base path',
      { login: { redirect_path: '/app/callback/', default_return_to: '/app/' }, logout: { return_path: '/app/' } },
    ],
    ['http: on localhost, when asked for', { ...local, authorization_server: { issuer: 'http://127.0.0.1:3001' } }],
    ['http: on a name below localhost', { ...local, public_origin: 'http://www.app.localhost:3000' }],
    ['http: upstream on this machine', route({ upstream: 'http://127.0.0.1:3002' })],
    ['http: upstream in a protected network', route({ upstream: 'http://api', transport: 'protected_network' })],
    [
      'a gateway without a secret on this machine',
      { ...local, proxy: { forward_auth: { gateway: 'caddy', peers: ['127.0.0.1'], insecure_no_secret: true } } },
    ],
    [
      'an HTTP proxy for an https: issuer, with an app in development',
      { ...local, authorization_server: { issuer: 'https://login.example.com', http_proxy: 'http://[::1]:3128' } },
    ],
    [
      'an HTTP proxy with credentials',
      { authorization_server: { http_proxy: 'https://proxy', http_proxy_authorization: 'Basic eDp5' } },
    ],
    [
      'a gateway that asks about APIs to which nothing has to be proved',
      { ...boundTokens, proxy: { ...asking, ...route({ credential: { kind: 'api_key', value: 'abcdefgh' } }).proxy } },
    ],
    [
      'a client id and an issuer that are just short enough to derive a key for bound tokens from',
      { authorization_server: { issuer: `https://${'i'.repeat(994)}.example` }, ...boundTokens },
    ],
    ['a base of proofs', { ...boundTokens, ...route({ dpop_base_url: 'https://api.example.com/v2' }) }],
    [
      'levels and claims of every sign-in',
      { login: { extra_parameters: { acr_values: 'urn:a urn:b', claims: essentialAcr('["urn:a"]') } } },
    ],
    ['optional scopes with room between them', { login: { optional_scope: ' orders  payments' } }],
    [
      'requirements of a route',
      route({ require: { scope: ['orders'], acr: ['urn:a', 'urn:b'], claims: { groups: ['staff'], tenant: 'a b' } } }),
    ],
    ['a sibling host', { cors: { origins: ['https://app.example.com'] } }],
    ['sibling ports on localhost', { ...local, cors: { origins: ['http://localhost:3001'] } }],
    ['a store with a spelled-out password', { store: { kind: 'valkey', url: 'rediss://user:p%2Fs@[::1]:6379/2' } }],
    [
      'Unix sockets, whatever the ports would be',
      {
        agent: { listen: { socket: `/run/${'x'.repeat(98)}` } },
        proxy: {
          listen: { socket: '/run/proxy.sock' },
          forward_auth: { gateway: 'nginx', peers: ['unix:'], secret: 'only-the-gateway-knows' },
        },
        operations: { listen: { port: 8082 }, trusted_proxies: ['unix:'] },
      },
    ],
    ...['0.0.0.0', '::', 'fe80::1%eth0', 'localhost', 'agent.internal.', '3com.example'].map(
      (host): [string, object] => [`listening at ${host}`, { agent: { listen: { host } } }],
    ),
    ['ranges of both families', { operations: { trusted_proxies: ['10.0.3.0/24', 'fd00::/64', '192.0.2.1'] } }],
    ['ranges of one address', { operations: { trusted_proxies: ['10.0.3.1/32', 'fd00::1/128', 'FD00:0::1/128'] } }],
    ['an IPv4 range written as IPv6', { operations: { trusted_proxies: ['::ffff:10.0.3.0/24'] } }],
    [
      'the shortest lead and the longest stop',
      {
        session: { max_access_token_seconds: 301, refresh_ahead_seconds: 300 },
        operations: { shutdown_wait_seconds: 3600, shutdown_drain_seconds: 3600 },
      },
    ],
    [
      'the longest times of a timer',
      {
        authorization_server: { timeout_ms: 2_147_483_647 },
        operations: { keep_alive_seconds: 2_147_482, request_timeout_seconds: 2_147_482 },
      },
    ],
    ['traces to a collector', { observability: { otlp_endpoint: 'http://collector:4318/v1/traces' } }],
    ['headerless WebSockets', route({ websocket: true, headerless: ['websocket'] })],
    ['cookies for the agent alone', { cookies: { refresh_path: 'agent' } }],
    ['a store with the longest name of a database', { store: { kind: 'valkey', url: 'redis://valkey/99999' } }],
    ['cookies of the API', route({ forward_cookies: ['theme'], allow_set_cookie: ['theme'] })],
  ])('%s', (_, change) => {
    expect(problemsOf(settingsFile({ ...change }))).toEqual([])
  })
})

it('authorities of an HTTP proxy without TLS are useless, and reported', () => {
  const settings = { http_proxy: 'http://proxy:3128', http_proxy_ca_file: 'ca.pem' }
  const readFile = () => createCertificate({ name: 'authority' }).certificate
  expect(problemsOf(settingsFile({ authorization_server: settings }), { readFile })).toMatchObject([
    { path: 'authorization_server.http_proxy_ca_file', problem: 'is set, but no proxy is reached over https:' },
  ])
})

describe('authorities, of which TLS leaves out what it cannot read', () => {
  const [one, other] = [1, 2].map((count) => createCertificate({ name: `authority ${count}` }).certificate)
  const places: [string, object][] = [
    ['authorization_server.ca_file', { authorization_server: { ca_file: 'ca.pem' } }],
    [
      'authorization_server.http_proxy_ca_file',
      { authorization_server: { http_proxy: 'https://proxy', http_proxy_ca_file: 'ca.pem' } },
    ],
    ['store.ca_file', { store: { kind: 'valkey', url: 'rediss://a', ca_file: 'ca.pem' } }],
    ['proxy.routes[0].ca_file', route({ ca_file: 'ca.pem' })],
  ]
  const texts: [string, string, boolean][] = [
    ['both', `# Two authorities\n${one}\n${other}`, true],
    ['lines of dashes between them', `------- one -------\n${one}\n-------\n${other}-------\n`, true],
    ['the second only begun', `${one}-----BEG`, false],
    ['the second without its end', `${one}${other}`.slice(0, -20), false],
    ['the second without its last dash', `${one}${other}`.trimEnd().slice(0, -1), false],
    ['the first without its end', `${one}`.slice(0, -30) + String(other), false],
    ['a second that is none', `${one}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`, false],
    ['both joined without a line break', one?.trimEnd() + String(other), false],
    ['line breaks of Windows', `${one}${other}`.replaceAll('\n', '\r\n'), true],
    ['none', '', false],
  ]
  it.each(
    places.flatMap(([path, change]) => texts.map(([name, text, isGood]) => ({ path, change, name, text, isGood }))),
  )('$path with $name: $isGood', ({ path, change, text, isGood }) => {
    expect(pathsOf(settingsFile({ ...change }), { readFile: () => text })).toEqual(isGood ? [] : [path])
  })
})

describe('the chain of a certificate, which fails every handshake or is cut short where a part of it cannot be read', () => {
  const { certificate, privateKey } = createCertificate({ name: 'client' })
  const pair = { certificate_file: 'chain.pem', private_key_file: 'key.pem' }
  const settings: [string, object][] = [
    ['client.certificate_file', { client: { authentication: 'tls_client_auth', secret: undefined, ...pair } }],
    [
      'proxy.routes[0].client_certificate_file',
      route({ client_certificate_file: 'chain.pem', client_private_key_file: 'key.pem' }),
    ],
  ]
  const broken = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'
  it.each(settings)('%s', (path, change) => {
    const found = (chain: string) =>
      pathsOf(settingsFile({ ...change }), { readFile: (file) => (file.endsWith('key.pem') ? privateKey : chain) })
    expect(found(certificate + createCertificate({ name: 'between' }).certificate)).toEqual([])
    expect(found(privateKey + certificate)).toEqual([])
    expect(found(certificate + broken)).toEqual([path])
  })
})

describe('session profiles (NIST SP 800-63B-4)', () => {
  it.each([
    ['aal1', 2_592_000, 2_592_000],
    ['aal2', 86_400, 3600],
    ['aal3', 43_200, 900],
  ])('%s sets the limits', (profile, absolute, idle) => {
    expect(parse(settingsFile({ session: { profile } })).session).toMatchObject({
      absoluteSeconds: absolute,
      idleSeconds: idle,
    })
  })
  it('shorter limits of one’s own stay', () => {
    expect(parse(settingsFile({ session: { profile: 'aal3', idle_seconds: 60 } })).session.idleSeconds).toBe(60)
  })
})

describe('client keys', () => {
  const pem = (key: ReturnType<typeof generateKeyPairSync>['privateKey']) =>
    String(key.export({ format: 'pem', type: 'pkcs8' }))
  const p256 = pem(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey)
  const p384 = pem(generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey)
  const ed25519 = pem(generateKeyPairSync('ed25519').privateKey)
  const rsa1024 = pem(generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey)
  const text = (algorithm: string) =>
    settingsFile({
      client: { id: 'app', authentication: 'private_key_jwt', private_key_file: 'key.pem', algorithm },
    }).replace(/\n +secret: .*/, '')

  it.each([
    ['ES256', p256, []],
    ['EdDSA', ed25519, []],
    ['ES256', p384, ['client.private_key_file']],
    ['PS256', p256, ['client.private_key_file']],
    ['PS256', rsa1024, ['client.private_key_file']],
    ['ES256', 'no key', ['client.private_key_file']],
  ])('%s', (algorithm, key, paths) => {
    expect(pathsOf(text(algorithm), { readFile: () => key })).toEqual(paths)
  })
  it('that are missing are reported', () => {
    expect(pathsOf(text('ES256'))).toEqual(['client.private_key_file'])
  })
})

it('checks of other parts are reported together with our own', () => {
  const checks = [() => [{ path: 'proxy.routes', problem: 'is odd', remedy: 'Make it even.' }]]
  expect(pathsOf(settingsFile({ login: { scope: 'x' } }), { checks })).toEqual(['login.scope', 'proxy.routes'])
})

it('an address with the length of its network is told both ways to write what was meant', () => {
  const [problem] = problemsOf(settingsFile({ operations: { trusted_proxies: ['10.1.2.3/8'] } }))
  expect(problem?.remedy).toBe('Write 10.1.2.3 for the address alone, or 10.0.0.0/8 for the whole network.')
})
