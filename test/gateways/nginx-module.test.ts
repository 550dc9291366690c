import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { connect as connectHttp2 } from 'node:http2'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { rotateKeyRing } from '../../shared/crypto/key-ring-edit.ts'
import { formatKeyRingFile } from '../../shared/crypto/key-ring-file.ts'
import { createKeyRing } from '../../shared/crypto/key-ring.ts'
import { csrfToken } from '../../shared/crypto/csrf-token.ts'
import { createCatalogue } from '../../shared/cookies/catalogue.ts'
import { freePort } from '../support/free-port.ts'
import { cookieSettings, seededRandom, testKeys } from '../support/installation.ts'
import { createManualClock } from '../support/manual-clock.ts'
import { nginxFolder, startNginx } from '../support/nginx.ts'
import { type NginxWorld, fromNow, startNginxWorld } from '../support/nginx-world.ts'
import { hostLine, ownPage, publicOrigin, siblingOrigin, startProxy } from '../support/proxy-world.ts'
import { type RawAnswer, openRaw, rawRequest, sendRaw } from '../support/raw-http.ts'
import type { SealedCookieVectors } from '../support/sealed-cookie-vectors.ts'
import { type Upstream, echo, startUpstream } from '../support/upstream.ts'

let upstream: Upstream

beforeAll(async () => {
  upstream = await startUpstream()
})

afterAll(() => upstream.close())

beforeEach(() => {
  upstream.seen.length = 0
  upstream.behave(echo)
})

const api = (more = '') => `
    - path: /api/**
      methods: [GET, HEAD, POST]
      upstream: ${upstream.origin}
${more}`

const errorCode = ({ body }: RawAnswer): unknown => /"error_code":"([a-z_]+)"/.exec(body)?.[1]

describe('a session inside nginx', () => {
  let world: NginxWorld

  beforeAll(async () => {
    world = await startNginxWorld(api('      max_body_bytes: 1000\n'))
  })
  afterAll(() => world.close())

  it('becomes the credential of the API', async () => {
    const answered = await world.call('GET', '/api/echo?a=b')
    expect(answered.status).toBe(200)
    const [seen] = upstream.seen
    expect(seen?.target).toBe('/api/echo?a=b')
    expect(seen?.values('authorization')).toEqual([expect.stringMatching(/^Bearer [\w.-]{1194}$/)])
    expect(seen?.values('cookie')).toEqual([])
  })

  it('is missing without a cookie', async () => {
    const answered = await world.call('GET', '/api/echo', { cookies: undefined })
    expect(answered.status).toBe(401)
    expect(JSON.parse(answered.body)).toEqual({ error_code: 'session_missing', detailed_error: 'Nobody is signed in.' })
    expect(answered.header('content-type')).toBe('application/json')
    expect(answered.header('cache-control')).toBe('no-store')
  })

  it.each([
    ['session_expired', { absoluteExpiresAt: -1 }],
    ['session_expired', { idleExpiresAt: -1 }],
    ['access_token_expired', { accessTokenExpiresAt: -1 }],
  ])('ends with %s', async (code, change) => {
    const times = Object.fromEntries(Object.entries(change).map(([name, seconds]) => [name, fromNow(seconds)]))
    const answered = await world.call('GET', '/api/echo', { cookies: world.cookies(times) })
    expect([answered.status, errorCode(answered)]).toEqual([401, code])
    expect(upstream.seen).toEqual([])
  })

  it('ends in time although its cookie was seen before', async () => {
    const cookies = world.cookies({ accessTokenExpiresAt: fromNow(2) })
    const codes = new Set<unknown>()
    while (!codes.has('access_token_expired')) {
      codes.add(errorCode(await world.call('GET', '/api/echo', { cookies })))
    }
    expect(codes).toEqual(new Set([undefined, 'access_token_expired']))
  })

  it('H12 lets no token write header lines of its own', async () => {
    for (const accessToken of ['a\r\nX-Admin: 1', 'a b', 'a\0b', 'caf\xe9', 'a,b', 'a"b', 'a=b', '']) {
      const answered = await world.call('GET', '/api/echo', { cookies: world.cookies({ accessToken }) })
      expect([answered.status, errorCode(answered)]).toEqual([401, 'session_invalid'])
    }
    expect(upstream.seen).toEqual([])
  })

  it('K16 refuses bodies over the limit', async () => {
    const more = [`Origin: ${publicOrigin}`]
    expect((await world.call('POST', '/api/echo', { more, body: 'x'.repeat(1000) })).status).toBe(200)
    const answered = await world.call('POST', '/api/echo', { more, body: 'x'.repeat(1001) })
    expect([answered.status, errorCode(answered)]).toEqual([413, 'payload_too_large'])
  })

  it('HX-15 decides before it asks for the body', async () => {
    const lines = [hostLine, ...ownPage, 'Expect: 100-continue', 'Content-Length: 900']
    const connection = await openRaw(world.port)
    connection.write(rawRequest('POST', '/api/echo', lines))
    expect(await connection.until((text) => text.includes('}'))).toMatch(/^HTTP\/1.1 4\d\d/)
    connection.close()
  })

  it('invariant 10: the next request on a connection gets its own answer', async () => {
    const connection = await openRaw(world.port)
    const signedIn = [hostLine, ...ownPage, `Cookie: ${world.cookies()}`]
    connection.write(rawRequest('GET', '/api/%2e', signedIn))
    await connection.until((text) => text.includes('ambiguous_request'))
    connection.write(rawRequest('GET', '/api/second', signedIn))
    expect(await connection.until((text) => text.includes('/api/second'))).toContain('HTTP/1.1 200')
    connection.close()
  })

  it('M05 writes no log line that a client made up', async () => {
    await world.call('GET', '/api/echo', {
      more: ['X-Evil: error_code=none'],
      cookies: '__Host-Http-th-at=error_code=none',
    })
    expect(world.nginx.log()).toContain('error_code=session_invalid check=malformed')
    expect(world.nginx.log()).not.toContain('error_code=none')
  })

  it('K18 says when the API cannot be reached', async () => {
    const gone = await startNginxWorld(`
    - path: /api/**
      upstream: http://127.0.0.1:${await freePort()}
`)
    const answered = await gone.call('GET', '/api/echo')
    expect([answered.status, errorCode(answered)]).toEqual([502, 'upstream_unreachable'])
    await gone.close()
  })

  it('K18 says when the API is silent', async () => {
    const silent = await startNginxWorld(api('      response_timeout_ms: 50\n      idle_timeout_ms: 50\n'))
    upstream.behave(() => {})
    const answered = await silent.call('GET', '/api/echo')
    expect([answered.status, errorCode(answered)]).toEqual([504, 'upstream_response_timeout'])
    await silent.close()
  })
})

describe('an API with several addresses', () => {
  it('HX-33 refuses in our words, also when the first address did not answer', async () => {
    const world = await startNginxWorld(api(), '', async () => ({
      http: (http) => http.replace(/server 127\.0\.0\.1:\d+ max_conns/, `server 127.0.0.1:1 max_fails=0; $&`),
    }))
    upstream.behave((socket) => void socket.write('HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n'))
    for (let call = 0; call < 2; call++) {
      const answered = await world.call('GET', '/api/echo')
      expect([answered.status, errorCode(answered)]).toEqual([401, 'upstream_unauthorized'])
    }
    await world.close()
  })
})

describe('where every route stays with the proxy', () => {
  it('nginx starts, and leaves the limits to the proxy', async () => {
    const routes = api('      rate_limit: { requests: 9, window_seconds: 60 }\n')
    const proxy = await startProxy(routes)
    const world = await startNginxWorld(`${routes}  listen: { host: 127.0.0.1, port: ${proxy.port} }\n`)
    const options = { cookies: proxy.cookies(), more: [`Origin: ${publicOrigin}`] }
    const large = await world.call('POST', '/api/echo', { ...options, body: 'x'.repeat(2_000_000) })
    expect(large.status).toBe(200)
    expect(upstream.seen[0]?.body).toHaveLength(2_000_000)
    const tooLarge = await world.call('POST', '/api/echo', { ...options, body: 'x'.repeat(10_485_761) })
    expect([tooLarge.status, errorCode(tooLarge)]).toEqual([413, 'payload_too_large'])
    await world.close()
    await proxy.close()
  })

  it.each([
    ['proxy', '/api/echo'],
    ['agent', '/oauth-agent/session'],
  ])('K18 nginx says in our words when the %s is away, or leaves without an answer', async (part, target) => {
    const leaving = await startUpstream()
    leaving.behave((socket) => void socket.destroy())
    for (const port of [await freePort(), new URL(leaving.origin).port]) {
      const handedOver = api('      rate_limit: { requests: 9, window_seconds: 60 }\n')
      const listen = `{ listen: { host: 127.0.0.1, port: ${port} } }`
      const world = await startNginxWorld(
        part === 'proxy' ? `${handedOver}  listen: { host: 127.0.0.1, port: ${port} }\n` : handedOver,
        part === 'agent' ? `agent: ${listen}` : '',
      )
      const answered = await world.call('POST', target, { more: [`Origin: ${siblingOrigin}`] })
      expect([answered.status, errorCode(answered)]).toEqual([503, 'overloaded'])
      expect(answered.header('token-handler-error')).toBe('overloaded')
      expect(answered.header('retry-after')).toBe('1')
      expect(answered.header('access-control-allow-origin')).toBe(siblingOrigin)
      const unreadable = await sendRaw(world.port, `GET ${target} HTTP/1.1\r\nHost: a b\r\n\r\n`)
      expect([unreadable.status, errorCode(unreadable)]).toEqual([400, 'ambiguous_request'])
      await world.close()
    }
    await leaving.close()
  })

  it('leaves the refusals of the proxy as they are', async () => {
    const behind = await startUpstream()
    behind.behave((socket) => void socket.end('HTTP/1.1 502 No\r\nContent-Length: 4\r\n\r\nmine'))
    const world = await startNginxWorld(`${api('      rate_limit: { requests: 9, window_seconds: 60 }\n')}
  listen: { host: 127.0.0.1, port: ${new URL(behind.origin).port} }\n`)
    const answered = await world.call('GET', '/api/echo')
    expect([answered.status, answered.body]).toEqual([502, 'mine'])
    await world.close()
    await behind.close()
  })

  it('nginx answers in our words what it cannot read', async () => {
    const world = await startNginxWorld(api(), 'store: { kind: valkey, url: "redis://127.0.0.1:1" }')
    const answered = await sendRaw(world.port, 'GET /api/echo HTTP/1.1\r\nHost: a b\r\n\r\n')
    expect([answered.status, errorCode(answered)]).toEqual([400, 'ambiguous_request'])
    expect(answered.header('x-request-id')).toMatch(/^[0-9a-f]{32}$/)
    await world.close()
  })
})

describe('the CSRF token', () => {
  it('F08 belongs to the session', async () => {
    const world = await startNginxWorld(api(), 'csrf: { token: required }')
    const ring = createKeyRing(testKeys())
    const token = csrfToken(ring, 'AAECAwQFBgcICQoLDA0ODw')
    const other = csrfToken(ring, 'BAECAwQFBgcICQoLDA0ODw')
    const call = (more: readonly string[]) => world.call('GET', '/api/echo', { more })
    expect((await call([`x-csrf-token: ${token}`])).status).toBe(200)
    for (const wrong of [[], ['x-csrf-token:'], [`x-csrf-token: ${other}`], [`x-csrf-token: ${token}a`]]) {
      expect(errorCode(await call(wrong))).toBe('csrf_token_invalid')
    }
    expect(upstream.seen[0]?.values('x-csrf-token')).toEqual([])
    await world.close()
  })
})

describe('keys', () => {
  it('A16 rotate without a sign-out, and a bad file keeps the old ones', async () => {
    const first = testKeys('first')
    const world = await startNginxWorld(api(), '', undefined, first)
    const cookies = world.cookies()
    // An answer shows that the workers are up; a signal before that would end nginx.
    expect((await world.call('GET', '/api/a', { cookies })).status).toBe(200)
    const until = async (text: string, status: number) => {
      for (let attempt = 0; attempt < 500; attempt++) {
        const answered = await world.call('GET', '/api/a', { cookies })
        if (world.nginx.log().includes(text) && answered.status === status) return
      }
      expect.fail(`never ${status} after ${text}: ${world.nginx.log()}`)
    }
    await world.replaceKeys(rotateKeyRing(first, { random: seededRandom('second'), clock: createManualClock() }, 'now'))
    world.nginx.reload()
    await until('reconfiguring', 200)
    await writeFile(join(world.nginx.folder, 'keys.json'), '{"version":1,"keys":[{"id":"00000000"}]}')
    world.nginx.reload()
    await until('keys[0] has no access key', 200)
    await world.replaceKeys(testKeys('third'))
    world.nginx.reload()
    await until('reconfiguring', 401)
    await world.close()
  })

  it.each([
    ['', 'not a JSON object'],
    ['{"version":2,"keys":[]}', 'version 1'],
    ['{"version":1,"keys":[]}', 'empty'],
    ['{"version":1,"version":1,"keys":[]}', 'not a JSON object'],
    ['{"version":1,"keys":[{"id":"zz","master":"00"}]}', '8 lower-case hex'],
    [`{"version":1,"keys":[{"id":"00000000","master":"${'00'.repeat(32)}"}]}`, 'repeats a few bytes'],
    [`{"version":1,"keys":[{"id":"00000000","master":"${'0123456789abcdef'.repeat(4)}"}]}`, 'repeats a few bytes'],
    [formatKeyRingFile(testKeys()).replace(/"id": "[0-9a-f]+"/, '"id": "00000000"'), 'does not belong to this key'],
    [formatKeyRingFile(testKeys()).replace(/(.)"\n {4}}/, '"\n    }'), 'exactly 64'],
  ])('A12 a bad ring stops the start: %#', async (text, problem) => {
    const folder = await nginxFolder()
    await writeFile(join(folder, 'keys.json'), text)
    const http = `${moduleOnly}
      init_by_lua_block { require("token_handler.keys").load("${folder}/keys.json") }
      server { listen 127.0.0.1:${await freePort()}; }`
    const started = startNginx({ folder, http, ports: [1] })
    await expect(started).rejects.toThrow(problem)
    const secret = /"master": ?"([0-9a-f]{16})/.exec(text)?.[1]
    if (secret !== undefined) await expect(started).rejects.not.toThrow(secret)
  })
})

const moduleOnly = `lua_package_path "${new URL('../../deploy/nginx/lua', import.meta.url).pathname}/?.lua;;";`
const vectors = JSON.parse(
  readFileSync(new URL('../vectors/sealed-cookies.json', import.meta.url), 'utf8'),
) as SealedCookieVectors

describe.each([
  ['whole', vectors.key_ring],
  ['derived', vectors.proxy_key_ring],
] as const)('the shared vectors with the %s key ring', (_, ring) => {
  let port: number
  let stop: () => Promise<void>

  beforeAll(async () => {
    port = await freePort()
    const folder = await nginxFolder()
    await writeFile(join(folder, 'keys.json'), JSON.stringify(ring))
    const { ownPrefixes, access } = createCatalogue(cookieSettings())
    const nginx = await startNginx({
      folder,
      ports: [port],
      http: vectorServer(folder, port, access.name, ownPrefixes),
    })
    stop = nginx.stop
  })
  afterAll(() => stop())

  const open = async (header: string) => {
    const lines = [hostLine, ...(header === '' ? [] : [`Cookie: ${header}`])]
    return (await sendRaw(port, rawRequest('GET', '/', lines))).body
  }

  it.each(vectors.values.filter((value) => value.open === 'access').map((value) => [value.name, value] as const))(
    '%s',
    async (_name, { cookies, expect: expected }) => {
      const pairs = Object.entries(cookies).map(([name, value]) => `${name}=${value}`)
      expect(await open(pairs.join('; '))).toBe(wanted(expected))
    },
  )

  it.each(vectors.headers.map(({ header, expect: expected }) => [header, expected] as const))(
    'header %s',
    async (header, expected) => {
      const others = 'others' in expected ? String(expected['others']) : ''
      const { ours } = expected as { ours?: Record<string, string> }
      const access = ours?.['__Host-Http-th-at']
      if (expected['error'] !== undefined) expect(await open(header)).toBe(`code ${String(expected['error'])}`)
      else if (access !== undefined) expect(await open(header)).toBe('code session_invalid malformed')
      else expect(await open(header)).toBe(`nobody ${others}`)
    },
  )

  it('A06, A08: no bit of a value can be changed, and it has one spelling', async () => {
    const [good] = vectors.values
    const [[name, value] = ['', '']] = Object.entries(good?.cookies ?? {})
    expect(await open(`${name}=${value}`)).toMatch(/^opened/)
    const bytes = Buffer.from(value, 'base64url')
    const flipped = Array.from(bytes, (_byte, index) => {
      const copy = Buffer.from(bytes)
      copy[index] = (copy[index] ?? 0) ^ (1 << (index % 8))
      return copy.toString('base64url')
    })
    const aliases = [`${value}=`, `${value}A`, `!${value}`, value.slice(0, -1), value.replaceAll('_', '/')]
    for (const wrong of [...flipped, ...aliases.filter((alias) => alias !== value)]) {
      expect(await open(`${name}=${wrong}`)).toMatch(/^code session_invalid/)
    }
  })
})

/** What the vector server prints for an expectation of the vectors. */
function wanted(expected: Readonly<Record<string, unknown>>): string {
  if (expected['kind'] === 'absent') return 'nobody '
  if (expected['kind'] === 'unreadable') return `code session_invalid ${String(expected['reason'])}`
  const content = expected['content'] as Record<string, string | number>
  return [
    'opened',
    'sessionId',
    'generation',
    'subject',
    'absoluteExpiresAt',
    'idleExpiresAt',
    'accessTokenExpiresAt',
    'accessToken',
  ]
    .map((name) => content[name] ?? name)
    .join(' ')
}

/** Opens what it is sent, whatever the time. */
function vectorServer(folder: string, port: number, accessCookie: string, ownPrefixes: readonly string[]): string {
  const { client_id, issuer, public_origin } = vectors.binding
  return `${moduleOnly}
    init_by_lua_block {
      reader = require("token_handler.session").create({
        access_cookie = "${accessCookie}", own_prefixes = { ${ownPrefixes.map((prefix) => `"${prefix}"`).join(', ')} },
        client_id = "${client_id}", issuer = "${issuer}", public_origin = "${public_origin}", cached_sessions = 10,
      }, require("token_handler.keys").load("${folder}/keys.json"))
    }
    large_client_header_buffers 4 32k;
    server {
      listen 127.0.0.1:${port};
      location / {
        content_by_lua_block {
          local found, code, check = reader.read(ngx.var.http_cookie, 0)
          local text
          if not found then
            text = "code " .. code .. (check and " " .. check or "")
          elseif not found.content then
            text = "nobody " .. table.concat(found.others, "; ")
          else
            local c = found.content
            text = table.concat({ "opened", c.session_id, c.generation, c.subject, c.absolute_expires_at,
              c.idle_expires_at, c.access_token_expires_at, c.access_token }, " ")
          end
          ngx.header["Content-Length"] = #text
          ngx.print(text)
        }
      }
    }`
}

describe('HTTP/2', () => {
  let world: NginxWorld
  let port: number

  beforeAll(async () => {
    port = await freePort()
    world = await startNginxWorld(api(), '', async (folder) => {
      const [key, certificate] = [join(folder, 'tls.key'), join(folder, 'tls.crt')]
      const subject = ['-subj', '/CN=www.example.com', '-days', '1', '-nodes']
      const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1']
      execFileSync('openssl', ['req', '-x509', ...curve, '-keyout', key, '-out', certificate, ...subject], {
        stdio: 'ignore',
      })
      const everythingElse =
        'location / { set_by_lua_block $th_decision { return token_handler.decide(0) } return 592; error_page 592 /token-handler-failed/592; }'
      const directives = `${everythingElse} listen 127.0.0.1:${port} ssl http2; ssl_certificate ${certificate}; ssl_certificate_key ${key};`
      return { directives, ports: [port] }
    })
  })
  afterAll(() => world.close())

  const call = (headers: Record<string, string | string[]>) =>
    new Promise<{ status: number; body: string }>((resolve, reject) => {
      const session = connectHttp2(`https://127.0.0.1:${port}`, { rejectUnauthorized: false })
      session.on('error', reject)
      const stream = session.request({
        ':authority': 'www.example.com',
        ':path': '/api/echo',
        'token-handler-version': '1',
        'sec-fetch-site': 'same-origin',
        ...headers,
      })
      let status = 0
      let body = ''
      stream.on('response', (fields) => {
        status = Number(fields[':status'])
      })
      stream.on('data', (chunk: Buffer) => {
        body += chunk.toString('latin1')
      })
      stream.on('error', () => {})
      stream.on('close', () => {
        session.close()
        resolve({ status, body })
      })
    })

  it('HX-29 carries a session, cookies in crumbs too', async () => {
    const cookies = world.cookies().split('; ')
    expect(await call({ cookie: cookies.join('; ') })).toMatchObject({ status: 200 })
    expect(await call({ cookie: ['theme=dark', ...cookies] })).toMatchObject({ status: 200 })
    expect(upstream.seen).toHaveLength(2)
    for (const seen of upstream.seen) {
      expect(seen.values('authorization')).toHaveLength(1)
      expect(seen.values('cookie')).toEqual([])
    }
  })

  it.each([
    ['no session', {}, 401],
    ['the cookie twice', { cookie: ['__Host-Http-th-at=a', '__Host-Http-th-at=b'] }, 400],
    ['another authority', { ':authority': 'evil.test' }, 421],
    ['a host beside the authority', { host: 'evil.test' }, 400],
    ['dot segments', { ':path': '/api/../admin' }, 400],
    ['an escaped slash', { ':path': '/api/a%2fb' }, 400],
    ['another path', { ':path': '//evil.test/api' }, 400],
    ['an underscore', { x_forwarded_user: 'a' }, 400],
    ['no version header', { 'token-handler-version': '2' }, 403],
    ['another site', { 'sec-fetch-site': 'cross-site' }, 403],
  ])('HX-29 refuses %s', async (_, headers, status) => {
    expect(await call(headers)).toMatchObject({ status })
    expect(upstream.seen).toEqual([])
  })
})

describe('a decision that is none', () => {
  it.each(['nil', 'true', '0', '""', '"Allowed"', '"allowed "', 'error("x")', 'ngx.exit(ngx.OK)', 'nothing.at.all'])(
    '%s reaches no API',
    async (decision) => {
      const world = await startNginxWorld(api(), '', async () => ({
        sabotage: (server) => server.replaceAll('return token_handler.decide(1)', `return ${decision}`),
      }))
      const answered = await world.call('GET', '/api/echo')
      await world.close()
      expect(answered.status).toBe(500)
      expect(upstream.seen).toEqual([])
    },
  )
})
