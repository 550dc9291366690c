import { describe, expect, it } from 'vitest'
import { parse, pathsOf, problemsOf, settingsFile } from './settings.ts'

describe('a good settings file', () => {
  it('becomes camelCase with defaults, and leaves the names of records alone', () => {
    const config = parse(
      settingsFile({
        login: { extra_parameters: { ui_theme: 'dark' }, authorization_details: [{ type: 'a', some_field: 1 }] },
        proxy: {
          routes: [{ path: '/api/**', upstream: 'https://api.example.com', require: { claims: { tenant_id: 'x' } } }],
        },
      }),
    )
    expect(config.session.idleSeconds).toBe(3600)
    expect(config.login.extraParameters).toEqual({ ui_theme: 'dark' })
    expect(config.login.authorizationDetails).toEqual([{ type: 'a', some_field: 1 }])
    expect(config.proxy.routes[0]).toMatchObject({
      methods: ['GET', 'HEAD'],
      maxBodyBytes: 10_485_760,
      require: { claims: { tenant_id: 'x' } },
    })
  })
  it('takes a section whose settings are all comments for its defaults', () => {
    expect(parse(`${settingsFile()}\nlogin:\n  # scope: openid\n`).login.scope).toBe('openid')
  })
  it('never shows a secret by accident', () => {
    const config = parse(settingsFile())
    expect(JSON.stringify(config)).not.toContain('not-a-real-secret')
    expect('secret' in config.client && config.client.secret.reveal()).toBe('not-a-real-secret')
  })
})

describe('environment variables', () => {
  it('fill texts, numbers and flags', () => {
    const text = settingsFile({
      public_origin: 'https://${SUB}.example.com',
      agent: { listen: { port: '${PORT}' } },
      cookies: { id_token_hint: '${HINT}' },
      client: { secret: '${SECRET}' },
    })
    const config = parse(text, { env: { SUB: 'www', PORT: '8443', HINT: 'true', SECRET: '12345' } })
    expect(config.publicOrigin).toBe('https://www.example.com')
    expect(config.agent.listen.port).toBe(8443)
    expect(config.cookies.idTokenHint).toBe(true)
    expect('secret' in config.client && config.client.secret.reveal()).toBe('12345')
  })
  it('cannot become structure', () => {
    const text = settingsFile({ login: { scope: 'openid ${X}' } })
    expect(pathsOf(text, { env: { X: 'a\nextra: [1]' } })).toEqual(['login.scope'])
  })
  it('can be written as they stand', () => {
    const text = settingsFile({ login: { extra_parameters: { a: '$${NAME}' } } })
    expect(parse(text).login.extraParameters).toEqual({ a: '${NAME}' })
  })
  it.each([
    ['not set', '${MISSING}', 'MISSING, which is not set'],
    ['empty', '${EMPTY}', 'EMPTY, which is empty'],
    ['not a name', '${a-b}', 'cannot be read'],
    ['not closed', '${NAME', 'cannot be read'],
  ])('that are %s are a problem', (_, value, words) => {
    const [problem, ...others] = problemsOf(settingsFile({ client: { secret: value } }), {
      env: { EMPTY: '', NAME: 'x' },
    })
    expect(others).toEqual([])
    expect(problem?.path).toBe('client.secret')
    expect(problem?.problem).toContain(words)
  })
  it('are not quoted in problems', () => {
    const text = settingsFile({ authorization_server: { issuer: '${CLIENT_SECRET}' } })
    const shown = JSON.stringify(problemsOf(text, { env: { CLIENT_SECRET: 'hunter2hunter2' } }))
    expect(shown).toContain('authorization_server.issuer')
    expect(shown).not.toContain('hunter2')
  })
})

describe('secrets in files', () => {
  const client = { id: 'app', authentication: 'client_secret_basic', secret_file: 'client-secret' }
  const text = settingsFile().replace(/secret: .*/, 'secret_file: client-secret')
  it('are read without their last line break, from the folder of the settings file', () => {
    const asked: string[] = []
    const readFile = (path: string) => {
      asked.push(path)
      return 'from-file\n'
    }
    const config = parse(text, { readFile, file: '/etc/token-handler/config.yaml' })
    expect('secret' in config.client && config.client.secret.reveal()).toBe('from-file')
    expect(asked).toEqual(['/etc/token-handler/client-secret'])
    expect(config.keys.file).toBe('/etc/token-handler/keys.json')
  })
  it('that cannot be read are one problem', () => {
    expect(pathsOf(text)).toEqual(['client.secret_file'])
    expect(pathsOf(`${settingsFile()}store: { kind: valkey, url_file: absent }\n`)).toEqual(['store.url_file'])
  })
  it('are not named by what is written there, which may be the secret itself', () => {
    const [problem] = problemsOf(settingsFile().replace(/secret: .*/, 'secret_file: hunter2hunter2'))
    expect(problem).toMatchObject({ path: 'client.secret_file', line: 7 })
    expect(problem?.remedy).toMatch(/; a secret itself belongs in secret\.$/)
    expect(JSON.stringify(problem)).not.toContain('hunter2')
  })
  it.each([
    ['client: hunter2hunter2', 'client', 'must be a section'],
    [
      'proxy: { routes: [{ path: /api, upstream: "http://a.internal", credential: hunter2hunter2 }] }',
      'proxy.routes[0].credential',
      'must be a section',
    ],
    ['proxy: { forward_auth: hunter2hunter2 }', 'proxy.forward_auth', 'must be a section'],
    ['proxy: { routes: hunter2hunter2 }', 'proxy.routes', 'must be a list'],
  ])('in the place of a section they are not quoted either: %s', (line, path, words) => {
    const [name = ''] = line.split(':')
    const others = settingsFile().replace(new RegExp(`^${name}:.*\\n(?: .*\\n)*`, 'm'), '')
    const problem = problemsOf(`${others}${line}\n`).find((each) => each.path === path)
    expect(problem?.problem).toBe(words)
    expect(JSON.stringify(problem)).not.toContain('hunter2')
  })
  it('that are empty are one problem', () => {
    expect(pathsOf(text, { readFile: () => '\n' })).toEqual(['client.secret_file'])
  })
  it.each([
    ['with a line break inside', 'two\nlines\n', 'must be a single line'],
    ['with an empty line after it', 'one\n\n', 'must be a single line'],
    [
      'copied from `config print`',
      '[secret]\n',
      'must be the secret itself, not the [secret] that `config print` shows for it',
    ],
  ])('%s are one problem of the file, and inline of the setting', (_, content, problem) => {
    const inFile = problemsOf(text, { readFile: () => content })
    expect(inFile).toMatchObject([{ path: 'client.secret_file', problem, line: 7 }])
    const inline = problemsOf(settingsFile({ client: { secret: content.replace(/\n$/, '') } }))
    expect(inline).toMatchObject([{ path: 'client.secret', problem, line: 7 }])
    expect(JSON.stringify([inFile, inline])).not.toContain('lines')
  })
  it('are named as they were written by what is found only when all settings are known', () => {
    const forwardAuth = { gateway: 'nginx', peers: ['127.0.0.1'] }
    const inFile = settingsFile({ proxy: { forward_auth: { ...forwardAuth, secret_file: 'short' } } })
    const inline = settingsFile({ proxy: { forward_auth: { ...forwardAuth, secret: 'short' } } })
    expect([inFile, inline].flatMap((text) => problemsOf(text, { readFile: () => 'short' }))).toMatchObject([
      { path: 'proxy.forward_auth.secret_file', line: 15 },
      { path: 'proxy.forward_auth.secret', line: 15 },
    ])
  })
  it('of headers are held to the same', () => {
    const credential = { kind: 'api_key', value: '[secret]' }
    const proxy = { routes: [{ path: '/a', upstream: 'https://a', credential }] }
    expect(pathsOf(settingsFile({ proxy }))).toEqual(['proxy.routes[0].credential.value'])
  })
  it('may not stand next to the secret itself', () => {
    const both = settingsFile({ client: { ...client, secret: 'x' } })
    expect(pathsOf(both, { readFile: () => 'y' })).toEqual(['client.secret_file'])
  })
})

describe('problems', () => {
  it('are all reported at once, each with its line', () => {
    const text = settingsFile({
      public_origin: 'https://www.example.com/',
      authorization_server: { timeout_ms: 'soon' },
      sesion: {},
      proxy: { routes: [{ path: 'api', upstream: 5, methods: ['GETT'] }] },
      operations: { trusted_proxies: ['0.0.0.0/0'] },
    })
    const problems = problemsOf(text)
    expect(problems.map(({ path }) => path).toSorted()).toEqual([
      'authorization_server.timeout_ms',
      'operations.trusted_proxies[0]',
      'proxy.routes[0].methods[0]',
      'proxy.routes[0].path',
      'proxy.routes[0].upstream',
      'public_origin',
      'sesion',
    ])
    for (const { path, line, remedy } of problems) {
      const lastKey =
        path
          .replace(/\[\d+\]$/, '')
          .split('.')
          .at(-1) ?? ''
      const near = text.split('\n').slice(Math.max(0, (line ?? 0) - 2), line)
      expect(near.join('\n'), path).toContain(lastKey)
      expect(remedy.length, path).toBeGreaterThan(8)
    }
  })
  it.each([
    ['a section', 'store: { kind: valkey }', 'store.url', 'store:'],
    [
      'one of several in a list',
      'proxy:\n  routes:\n    - { path: /a, upstream: "https://a" }\n    - path: /b\n',
      'proxy.routes[1].upstream',
      '/b',
    ],
  ])('of what is absent name the line of %s', (_, lines, path, words) => {
    const text = `${settingsFile()}${lines}\n`
    const line = problemsOf(text).find((each) => each.path === path)?.line
    expect(text.split('\n')[(line ?? 0) - 1]).toContain(words)
  })
  it('of a whole section that is absent name no line', () => {
    const [problem] = problemsOf(settingsFile().replace(/client:\n(?: .*\n)*/, ''))
    expect([problem?.path, problem?.line]).toEqual(['client', undefined])
  })
  it('between settings are reported even when another setting is missing', () => {
    const text = settingsFile({ login: { scope: 'profile' } }).replace(/public_origin:.*/, '')
    expect(pathsOf(text)).toEqual(['public_origin', 'login.scope'])
  })
  it('are not concluded from a setting that is wrong itself', () => {
    const text = settingsFile({ insecure_allow_http: true }).replace(/public_origin:.*/, 'public_origin: nonsense')
    expect(pathsOf(text)).toEqual(['public_origin'])
  })
  it.each([
    ['sameSite', { cookies: { prefx: 'a' } }, 'cookies.prefx', 'prefix'],
    ['two letters in the wrong order', { agent: { listen: { prot: 1 } } }, 'agent.listen.prot', 'port'],
    ['camelCase', { session: { idleSeconds: 60 } }, 'session.idleSeconds', 'idle_seconds'],
    ['wrong level', { scope: 'openid' }, 'scope', 'login.scope'],
    ['the wrong section', { agent: { idle_seconds: 60 } }, 'agent.idle_seconds', 'session.idle_seconds'],
    [
      'route',
      { proxy: { routes: [{ path: '/a', upstream: 'https://a', method: ['GET'] }] } },
      'proxy.routes[0].method',
      'methods',
    ],
    ['a level too high', { operations: { port: 9090 } }, 'operations.port', 'operations.listen.port'],
    [
      'a level too high in a route',
      { proxy: { routes: [{ path: '/a', upstream: 'https://a', max_age: 60 }] } },
      'proxy.routes[0].max_age',
      'proxy.routes[0].require.max_age',
    ],
  ])('suggest what was meant: %s', (_, change, path, suggestion) => {
    const [problem] = problemsOf(settingsFile(change))
    expect(problem).toMatchObject({ path, problem: 'is not a setting', remedy: `Did you mean ${suggestion}?` })
  })
  it.each([
    ['store: { knd: memory }', 'store.knd', 'kind'],
    [
      'client: { id: a, authentification: client_secret_basic, secret: b }',
      'client.authentification',
      'authentication',
    ],
  ])('suggest the word that names the kind of a section: %s', (line, path, suggestion) => {
    const [section = ''] = line.split(':')
    const others = settingsFile().replace(new RegExp(`^${section}:.*\n(?: .*\n)*`, 'm'), '')
    expect(problemsOf(`${others}${line}\n`)).toMatchObject([
      { path, problem: 'is not a setting', remedy: `Did you mean ${suggestion}?` },
    ])
  })
  it.each([
    ['constructor: x', 'constructor'],
    ['__proto__: { client: x }', '__proto__'],
    ['login: { extra_parameters: { __proto__: x } }', 'login.extra_parameters.__proto__'],
    [
      'proxy: { routes: [{ path: /a, upstream: "https://a", require: { claims: { __proto__: [x] } } }] }',
      'proxy.routes[0].require.claims.__proto__',
    ],
  ])('refuse what every object inherits, and do not suggest it: %s', (line, path) => {
    const [problem, ...others] = problemsOf(`${settingsFile()}${line}\n`)
    expect(problem?.path).toBe(path)
    expect(problem?.remedy).not.toContain('Did you mean authorization_server')
    expect(others).toEqual([])
  })
  it.each([
    [{ agent: { path: '/a/' } }, 'must be a path without a slash at its end, not "/a/"'],
    [{ proxy: { forward_auth: { path: '/v/' } } }, 'must be a path without a slash at its end, not "/v/"'],
    [
      { proxy: { routes: [{ path: '/api/z/', upstream: 'https://a' }] } },
      'must be a path without a slash at its end, not "/api/z/"',
    ],
    [
      { proxy: { routes: [{ path: '/api/?z/', upstream: 'https://a' }] } },
      'must be a path such as /api/orders, /api/*/lines or /api/**, without query or escapes; no segment ends in a dot, not "/api/?z/"',
    ],
  ])('name the slash at the end of a path where nothing else is wrong: %j', (change, problem) => {
    expect(problemsOf(settingsFile(change))).toMatchObject([{ problem }])
  })
  it.each([
    ['https://Shop.example.com', 'must be an origin in lower case,'],
    ['https://shop.example.com:443', 'must be an origin without the port that its scheme implies,'],
    ['shop.example.com', 'must be an origin with its scheme,'],
    ['https://*.example.com', 'must be a single origin such as https://www.example.com and no pattern'],
    ["https://shop'.example.com", 'must be an origin such as https://www.example.com, without path'],
    ['https://shop.example.com/app', 'must be an origin such as https://www.example.com, without path'],
    ['https://shop.example.com:99999', 'must be an origin such as https://www.example.com, without path'],
  ])('name what keeps %s from being an origin', (origin, words) => {
    const [problem] = problemsOf(settingsFile({ public_origin: origin }))
    expect(problem?.problem).toContain(words)
    expect(problem?.problem).toContain(`not "${origin}"`)
  })
  it.each([
    [{ store: { kind: 'redis' } }, 'store.kind', 'valkey: Shared by all replicas through a Valkey or Redis server.'],
    [{ client: { authentication: 'basic' } }, 'client.authentication', 'client_secret_basic: The secret in an'],
  ])('explain the kinds of which one has to be chosen: %j', (change, path, words) => {
    const [problem] = problemsOf(settingsFile(change))
    expect(problem).toMatchObject({ path, problem: expect.stringMatching(/, not "\w+"$/) })
    expect(problem?.remedy).toContain(words)
  })
  it.each([
    'https://shop-1.example.com',
    'https://xn--mnchen-3ya.example',
    'https://[2001:db8::1]:8443',
    'https://a_b.example',
  ])('are none of the origin %s', (origin) => expect(problemsOf(settingsFile({ public_origin: origin }))).toEqual([]))
  it.each<[string, object]>([
    ['authorization_server.issuer', { authorization_server: { issuer: 'https://login.example.com/a\nb' } }],
    ['authorization_server.issuer', { authorization_server: { issuer: ' https://login.example.com' } }],
    ['proxy.routes[0].upstream', { proxy: { routes: [{ path: '/a', upstream: 'https://a.exa\tmple.com' }] } }],
    ['client.id', { client: { id: 'app\n' } }],
    ['keys.file', { keys: { file: '/run/keys\n.json' } }],
    ['keys.file', { keys: { file: '/run/keys\u0000.json' } }],
    ['observability.audit_file', { observability: { audit_file: 'audit\n' } }],
  ])('name the line break, or what else cannot be seen, in %s: %o', (path, change) => {
    expect(problemsOf(settingsFile({ ...change }))).toMatchObject([
      {
        path,
        problem: expect.stringMatching(/^must hold no .*control characters/),
        remedy: expect.stringMatching(/^Change it\. \w/),
      },
    ])
  })
  it.each(['ApiKey\n', 'Schlüssel ', '€'])('name a prefix that no header can hold: %j', (prefix) => {
    const credential = { kind: 'api_key', value: 'abcdef', prefix }
    const found = problemsOf(settingsFile({ proxy: { routes: [{ path: '/a', upstream: 'https://a', credential }] } }))
    expect(found).toMatchObject([
      { path: 'proxy.routes[0].credential.prefix', problem: expect.stringContaining('must be printable ASCII') },
    ])
  })
  it('describe the list of which an entry is wrong', () => {
    const [problem] = problemsOf(settingsFile({ cors: { origins: ['*'] } }))
    expect(problem?.problem).toContain('and no pattern, not "*"')
    expect(problem?.remedy).toMatch(/^Change it\. \w/)
  })
  it('say how a list is written', () => {
    const proxy = { routes: [{ path: '/a', upstream: 'https://a', methods: 'GET' }] }
    expect(problemsOf(settingsFile({ proxy }))[0]?.remedy).toMatch(/^Put it in brackets\./)
  })
  it('of a variable in the name of a file are reported once', () => {
    const client = { id: 'app', authentication: 'private_key_jwt', secret: undefined, private_key_file: '${MISSING}' }
    expect(pathsOf(settingsFile({ client }))).toEqual(['client.private_key_file'])
  })
  it.each<[string, object, readonly string[]]>([
    [
      'a wrong origin beside what does not rest on it',
      {
        public_origin: 'www.example.com',
        authorization_server: { issuer: 'http://login.example.com' },
        cookies: { insecure_plain: true, prefix: 'TH' },
        session: { idle_seconds: 7200, absolute_seconds: 3600 },
        login: { scope: 'profile' },
        operations: { listen: { host: 'not a host' }, trusted_proxies: ['::/0'] },
      },
      [
        'public_origin',
        'cookies.prefix',
        'operations.trusted_proxies[0]',
        'operations.listen.host',
        'session.idle_seconds',
        'login.scope',
      ],
    ],
    [
      'a wrong kind of a section beside the rest of the section',
      { client: { authentication: 'basic', id: 42, secret: 'x', private_key_file: 'x' } },
      ['client.authentication', 'client.id'],
    ],
    [
      'a wrong kind deep inside',
      {
        client: { authentication: 'basic' },
        proxy: { routes: [{ path: '/a', upstream: 'https://a', methods: ['GETT'], credential: { kind: 'apikey' } }] },
      },
      ['client.authentication', 'proxy.routes[0].methods[0]', 'proxy.routes[0].credential.kind'],
    ],
    [
      'a wrong origin beside what names the right one',
      {
        public_origin: 'https://shop.example.com/',
        page_origin: 'https://shop.example.com',
        cors: { origins: ['https://www.example.com'] },
      },
      ['public_origin'],
    ],
    [
      'a secret that cannot be read, which is not missing as well',
      { proxy: { forward_auth: { gateway: 'nginx', peers: ['127.0.0.1'], secret_file: 'absent' } } },
      ['proxy.forward_auth.secret_file'],
    ],
    [
      'a secret that cannot be read beside a misspelt kind',
      { client: { authentication: 'client_secret_basik', secret: undefined, secret_file: 'absent' } },
      ['client.secret_file', 'client.authentication'],
    ],
    [
      'the same beside a kind that is like none',
      { store: { kind: 'redis', url_file: 'absent' } },
      ['store.url_file', 'store.kind'],
    ],
    [
      'the same where the kind is missing',
      { client: { authentication: undefined, secret: undefined, secret_file: 'absent' } },
      ['client.secret_file', 'client.authentication'],
    ],
    [
      'a key that cannot be read beside a misspelt kind, and a wrong algorithm',
      {
        client: {
          authentication: 'private_key_jtw',
          secret: undefined,
          private_key_file: 'absent',
          algorithm: 'ES265',
        },
      },
      ['client.authentication', 'client.algorithm', 'client.private_key_file'],
    ],
    [
      'a misspelt kind, of which nothing more is missing',
      { client: { authentication: 'private_key_jtw', secret: undefined } },
      ['client.authentication'],
    ],
  ])('are listed in one round, and none that rests on another: %s', (_, change, paths) => {
    expect(pathsOf(settingsFile({ ...change }))).toEqual(paths)
  })
  it('name one bound of a number that misses two', () => {
    const found = problemsOf(settingsFile({ session: { idle_seconds: -1 } }))
    expect(found.map(({ problem }) => problem)).toEqual(['must be more than 0, not -1'])
  })
  it.each([-1, 0, 9])('refuse an age of authentication that no sign-in meets in time: %d', (maxAge) => {
    const routes = [{ path: '/a', upstream: 'https://a', require: { max_age: maxAge } }]
    expect(problemsOf(settingsFile({ proxy: { routes } }))).toMatchObject([
      {
        path: 'proxy.routes[0].require.max_age',
        problem: `must be at least 10, not ${maxAge}`,
        remedy: expect.stringContaining('the way back from the authorization server'),
        line: expect.any(Number),
      },
    ])
    const least = { proxy: { routes: [{ path: '/a', upstream: 'https://a', require: { max_age: 10 } }] } }
    expect(problemsOf(settingsFile(least))).toEqual([])
  })
  it.each([
    ['public_origin', { public_origin: 'https://user:battery@www.example.com' }],
    ['authorization_server.http_proxy', { authorization_server: { http_proxy: 'http://user:battery@proxy:3128' } }],
  ])('never quote an address that may hold a password: %s', (path, change) => {
    const problems = problemsOf(settingsFile(change))
    expect(problems.map((problem) => problem.path)).toEqual([path])
    expect(JSON.stringify(problems)).not.toContain('battery')
  })
  it('never quote a secret', () => {
    const text = settingsFile({ client: { secret: 424242424242 } })
    expect(JSON.stringify(problemsOf(text))).not.toContain('4242')
  })
  it.each([
    ['a tab', 'a:\n\tb: 1\n', 2, 'Indent with spaces.'],
    ['a key twice', 'a: 1\nb: 2\na: 3\n', 3, 'Keep one of them.'],
    ['a second document', 'a: 1\n---\nb: 2\n', 2, 'Keep all settings in one document, or remove the line.'],
    ['a reserved character', 'a: 1\nb: @x\n', 2, 'Put the value in quotes.'],
    ['an alias of nothing', 'a: 1\nb: [*.example.com]\n', 2, 'Put the value in quotes.'],
    ['an alias of what holds it', 'a: 1\nb: &b\n  c: [*b]\n', 3, 'Write the values out.'],
    ['an alias of the whole file', '&a [*a]\n', 1, 'Write the values out.'],
    ['a lone asterisk', 'a: 1\nb: *\n', 2, 'Put the value in quotes.'],
    ['a backslash', 'a: "C:\\q"\n', 1, 'Use single quotes, or write two backslashes.'],
    ['a no-break space', 'a:\n\u00a0 b: 1\n  c: 1\n', 2, 'Write a plain space in its place.'],
  ])('say what is wrong with a line that is no YAML: %s', (_, text, line, remedy) => {
    expect(problemsOf(text)[0]).toMatchObject({ path: '', line, remedy })
  })
  it('send to a quote that was opened further up', () => {
    const [problem, ...others] = problemsOf('a: "x\nb: 1\n')
    expect(problem?.remedy).toContain('look above for a quote')
    expect(others).toEqual([])
  })
  it.each(['- a\n', 'nothing but words\n'])('tell of a file without settings: %j', (text) => {
    const checks = [() => [{ path: 'keys.file', problem: 'names a file of which no line speaks', remedy: '' }]]
    expect(problemsOf(text, { checks })).toEqual([
      expect.objectContaining({ path: '', problem: 'the settings file holds no settings' }),
    ])
  })
  it.each<[string, object, string]>([
    ['a number in quotes', { agent: { listen: { port: '8080' } } }, 'Remove the quotes. Port'],
    ['true in quotes', { login: { navigation: { enabled: 'true' } } }, 'Remove the quotes. Serves'],
    ['a time with its unit', { session: { idle_seconds: '30m' } }, 'Change it. A session'],
    [
      'the kind in the place of its section',
      { proxy: { routes: [{ path: '/a', upstream: 'https://a', credential: 'user' }] } },
      'Write kind: user below it. What the API gets',
    ],
    ['some other word there', { store: 'redis' }, 'Write kind: … below it.'],
    [
      'all of a section in one text',
      { proxy: { routes: [{ path: '/a', upstream: 'https://a', rate_limit: '100/60' }] } },
      'Write below it what it consists of: requests, window_seconds, by. Limit of',
    ],
    [
      'a claim within a claim',
      { proxy: { routes: [{ path: '/a', upstream: 'https://a', require: { claims: { realm: { roles: ['x'] } } } }] } },
      'Change it. Claims that the access token',
    ],
    [
      'scope as a list',
      { login: { scope: ['openid', 'email'] } },
      'Change it. Scope of every sign-in, in one text with',
    ],
    ['scope with commas', { login: { scope: 'openid,email, orders' } }, 'Write "openid email orders".'],
    ['scope without openid', { login: { scope: 'email orders' } }, 'Write "openid email orders".'],
  ])('say how it is written: %s', (_, change, remedy) => {
    const problems = problemsOf(settingsFile({ ...change }))
    expect(problems.map((problem) => problem.remedy)).toEqual([expect.stringContaining(remedy)])
  })
  it.each([
    ['a list', { login: { scope: ['openid'] } }, 'must be text, not a list', 'Change it.'],
    ['a section', { login: { scope: {} } }, 'must be text, not a section', 'Change it.'],
    ['nothing', { login: { scope: null } }, 'must be text, but nothing is written here', 'Change it.'],
    ['a number', { login: { scope: 5 } }, 'must be text, not 5', 'Put it in quotes.'],
  ])('name the kind of what is no text: %s', (_, change, problem, remedy) => {
    const [first] = problemsOf(settingsFile(change))
    expect(first).toMatchObject({ path: 'login.scope', problem, remedy: expect.stringMatching(`^${remedy}`) })
  })
  it.each([
    ['methods', { methods: [] }],
    ['upstream', { upstream: [] }],
    ['require.claims.groups', { require: { claims: { groups: [] } } }],
  ])('take an empty list for empty, not for something else: %s', (name, change) => {
    const routes = [{ path: '/api/**', upstream: 'https://api', ...change }]
    const [first] = problemsOf(settingsFile({ proxy: { routes } }))
    expect(first).toMatchObject({ path: `proxy.routes[0].${name}`, problem: 'must not be empty' })
  })
  it.each([
    ['a key twice', `${settingsFile()}keys: {}\n`, 'twice'],
    ['not YAML', 'a: [', 'YAML'],
    ['a variable that YAML reads as structure', 'a: { b: ${NAME} }', 'YAML'],
    ['an alias bomb', 'a: &a [1,1]\nb: &b [*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c,*c,*c,*c]\n', 'alias'],
  ])('tell of a file with %s', (_, text, word) => {
    const [problem, ...others] = problemsOf(text)
    expect(problem?.problem).toContain(word)
    expect(others).toEqual([])
  })
})
