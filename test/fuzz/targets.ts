import { parseParameters } from '../../oauth-agent/body.ts'
import { parseReturnTo } from '../../oauth-agent/flows/return-path.ts'
import { createQuestionReader, gatewayDialects } from '../../oauth-proxy/edges/gateway-dialects.ts'
import { parseTarget } from '../../oauth-proxy/gate/path.ts'
import { createRouteTable } from '../../oauth-proxy/routes/route-table.ts'
import { parseConfig } from '../../shared/config/load.ts'
import { ConfigError } from '../../shared/config/problem.ts'
import { createCatalogue } from '../../shared/cookies/catalogue.ts'
import { parseCookieHeader } from '../../shared/cookies/header.ts'
import { allowedHosts, parseRequestHead } from '../../shared/http/request-gate.ts'
import {
  browserAfter,
  cookieHeader,
  cookieSettings,
  createInstallation,
  jwt,
  noCookies,
  seededRandom,
  sessionCookies,
} from '../support/installation.ts'
import { pathReaders } from '../support/path-readers.ts'
import { settingsFile } from '../shared/config/settings.ts'
import { authorizationResponse, logoutToken } from './authorization-targets.ts'
import { framing } from './framing-target.ts'
import { sessionsTarget } from './sessions-target.ts'
import { type FuzzTarget, promise, unlessRefused } from './target.ts'

const catalogue = createCatalogue(cookieSettings())
const { reader, writer } = createInstallation({ random: seededRandom('fuzz') })
const small = cookieHeader(browserAfter(writer.setSession(sessionCookies(), noCookies)))
const large = cookieHeader(browserAfter(writer.setSession(sessionCookies({ accessToken: jwt(4200) }), noCookies)))
/** The whole name: other cookies in our namespace may end alike. */
const isAccessName = (name: string): boolean => /^__Host-Http-th-at(?:\.\d)?$/.test(name)
const publicOrigin = 'https://www.example.com'
const hosts = allowedHosts(publicOrigin)

const cookies: FuzzTarget = {
  name: 'cookie-header',
  seeds: [small, 'theme=dark; a=b', `${small}; theme=dark`, '__Host-Http-th-at=x', ';;;=;', '$Version=1; p="x; q=end"'],
  dictionary: [
    '__Host-Http-th-at=',
    '__Http-th-rt=',
    '__Host-Http-th-login-',
    '; ',
    '=',
    '"',
    '$Version=1',
    '%48',
    '\t',
    '.1=',
    '2.',
    '\xa0',
    '\0',
  ],
  guides: ['shared/cookies/header.ts'],
  run(input) {
    const read = unlessRefused(() => parseCookieHeader(input, catalogue))
    if (read === undefined) return
    for (const [name, value] of read.ours) {
      promise(
        catalogue.ownPrefixes.some((prefix) => name.startsWith(prefix)),
        'ours has our prefix',
      )
      promise(!/[;]/.test(value), 'a value ends at its semicolon')
    }
    const others = read.others ?? ''
    promise(
      !others
        .split(';')
        .some((part) => catalogue.ownPrefixes.some((own) => part.replace(/^[ \t]+/, '').startsWith(own))),
      'no cookie of ours goes on',
    )
    promise(!/[\0\r\n]/.test(others), 'no control character goes on')
    promise(parseCookieHeader(read.others, catalogue).others === read.others, 'what goes on is read alike again')
  },
}

const sealed: FuzzTarget = {
  name: 'sealed-value',
  seeds: [small, large],
  dictionary: [
    'A',
    '_',
    '-',
    '=',
    '.',
    '2.',
    '3.',
    '9.',
    '.1',
    '.2',
    'AQ',
    '__Host-Http-th-rt=',
    '__Host-Http-th-at.1=',
    '__Host-Http-th-at=2.',
  ],
  guides: [
    'shared/cookies/open.ts',
    'shared/cookies/chunks.ts',
    'shared/crypto/seal.ts',
    'shared/crypto/base64url.ts',
    'shared/cookies/record.ts',
  ],
  run(input) {
    const read = unlessRefused(() => parseCookieHeader(input, catalogue))
    if (read === undefined) return
    if (reader.access(read).kind !== 'opened') return
    const sent = [...read.ours].filter(([name]) => isAccessName(name))
    const known = [small, large].some((header) => {
      const whole = [...parseCookieHeader(header, catalogue).ours].filter(([name]) => isAccessName(name))
      return whole.length === sent.length && whole.every(([name, value]) => read.ours.get(name) === value)
    })
    promise(known, 'only what was sealed opens')
  },
}

const rules = createRouteTable(
  ['/public/**', '/api/**', '/api/admin/**', '/api/*/x'].map((path) => ({ path, methods: ['GET'] })),
)
const pattern = (path: string) => rules.match(path)?.[0]?.path ?? 'none'

const path: FuzzTarget = {
  name: 'path-gate',
  seeds: [
    '/public/a',
    '/api/orders/7?x=1',
    '/api/admin/users',
    '/public/../admin',
    '/public/%2e%2e/api',
    '/a;b/c',
    '//host/x',
    '/a%20b/%C3%A9',
  ],
  dictionary: [
    '/',
    '//',
    '..',
    '/../',
    '%2e',
    '%2E%2e',
    '%2f',
    '%5c',
    '\\',
    ';',
    '..;',
    '%25',
    '%00',
    '#',
    '?',
    '@',
    '%c0%ae',
    '%ef%bc%8f',
    '.',
    '%u002e',
    'api',
    'admin',
    'public',
    'http://e/',
  ],
  guides: ['oauth-proxy/gate/path.ts', 'oauth-proxy/routes/route-table.ts'],
  run(input) {
    const target = unlessRefused(() => parseTarget(input))
    if (target === undefined) return
    promise(target.path + target.query === input, 'what was decided on is what is forwarded')
    const decided = pattern(target.path)
    for (const [name, read] of Object.entries(pathReaders)) {
      const found = `/${read(input).join('/')}`
      const same = name === 'caseless' ? pattern(found).toLowerCase() : pattern(found)
      const trailing = target.path.endsWith('/') && target.path !== '/' ? `${found.replace(/\/$/, '')}/` : found
      promise(
        same === decided || pattern(trailing) === decided || pattern(target.path.toLowerCase()) === same,
        `the reader ${name} finds the same route`,
      )
    }
  },
}

const head: FuzzTarget = {
  name: 'request-head',
  seeds: [
    'GET\n/a\n1.1\nHost: www.example.com\nCookie: a=b',
    'POST\n/a?b\n1.1\nHost: www.example.com:443\nContent-Length: 5\nExpect: 100-continue',
    'PUT\n/a\n1.1\nHost: www.example.com\nTransfer-Encoding: chunked\nConnection: close, x-a\nX-A: 1',
  ],
  dictionary: [
    'Host: ',
    'Content-Length: ',
    'Transfer-Encoding: ',
    'chunked',
    'gzip, ',
    'Connection: ',
    'authorization',
    '_',
    '\n',
    ': ',
    'Cookie: ',
    'Origin: ',
    '1.0',
    'TRACE',
    'http://e',
    '\x80',
    '\0',
    '100-continue',
    '+5',
    ', ',
  ],
  guides: ['shared/http/request-gate.ts'],
  run(input) {
    const [method = '', target = '', httpVersion = '', ...lines] = input.split('\n')
    const rawHeaders = lines.flatMap((line) => {
      const colon = line.indexOf(':')
      return colon === -1 ? [line, ''] : [line.slice(0, colon), line.slice(colon + 1).trim()]
    })
    const read = unlessRefused(() => parseRequestHead({ method, target, httpVersion, rawHeaders }, hosts))
    if (read === undefined) return
    const count = (name: string) => rawHeaders.filter((each, at) => at % 2 === 0 && each.toLowerCase() === name).length
    for (const name of ['host', 'content-length', 'transfer-encoding', 'origin', 'authorization', 'cookie']) {
      promise(count(name) <= 1, `${name} is there once at most`)
    }
    promise(hosts.has((read.fields['host'] ?? '').toLowerCase()), 'the host is served')
    promise(target.startsWith('/'), 'the target is a path')
    promise(!(count('content-length') === 1 && count('transfer-encoding') === 1), 'one framing')
    promise(
      Object.keys(read.fields).every((name) => /^[a-z0-9-]+$/.test(name)),
      'names are plain',
    )
  },
}

const returnTo: FuzzTarget = {
  name: 'return-path',
  seeds: [
    '/',
    '/a/b?c=d#e',
    '/\\evil.test',
    '//evil.test',
    '/%2f%2fevil',
    '/a//b',
    '/%09/evil.test',
    '/https://evil.test',
  ],
  dictionary: [
    '/',
    '\\',
    '//',
    '%2f',
    '%5c',
    '\t',
    '\n',
    '\r',
    '%09',
    '%0a',
    '@',
    ':',
    'https:',
    'javascript:',
    '..',
    '%2e',
    '?',
    '#',
    'evil.test',
    '\x0b',
    '\xa0',
    '%25',
    '[',
    ']',
  ],
  guides: ['oauth-agent/flows/return-path.ts'],
  run(input) {
    const read = unlessRefused(() => parseReturnTo(input, publicOrigin))
    if (read === undefined) return
    promise(read === input, 'the accepted value is used as it is')
    for (const text of [read, decoded(read)]) {
      promise(
        URL.canParse(text, publicOrigin) && new URL(text, publicOrigin).origin === publicOrigin,
        'it stays on the origin',
      )
    }
  },
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

const parameters: FuzzTarget = {
  name: 'body-parameters',
  seeds: [
    'code=a&state=b&iss=https%3A%2F%2Fl',
    'error=access_denied&state=b',
    '{"code":"a","state":"b"}',
    '{"max_age":5}',
  ],
  dictionary: [
    '&',
    '=',
    'state',
    'code',
    'iss',
    '%26',
    '+',
    '"',
    '{',
    '}',
    '":"',
    ',',
    '__proto__',
    'constructor',
    '\\u0063',
    ':',
    '[',
    'null',
    '1e9',
  ],
  guides: ['oauth-agent/body.ts'],
  run(input) {
    for (const kind of ['application/x-www-form-urlencoded', 'application/json'] as const) {
      const read = unlessRefused(() => parseParameters(kind, input))
      if (read === undefined) continue
      promise(read.size <= 50, 'the number is bounded')
      promise(
        [...read.values()].every((value) => typeof value === 'string'),
        'values are text',
      )
      if (kind === 'application/json') continue
      promise([...new URLSearchParams(input).keys()].length === read.size, 'no name is there twice')
    }
    promise(Object.keys(Object.prototype).length === 0, 'no prototype was touched')
  },
}

const gateway: FuzzTarget = {
  name: 'gateway-question',
  seeds: [
    'GET\n/oauth-proxy/verify\nX-Original-Method: POST\nX-Original-Host: www.example.com\nX-Original-URI: /api/x?y\nCookie: a=b',
    'GET\n/oauth-proxy/verify\nX-Forwarded-Method: GET\nX-Forwarded-Host: www.example.com\nX-Forwarded-Uri: /api/x',
    'POST\n/oauth-proxy/verify/api/x\nHost: www.example.com',
  ],
  dictionary: [
    'X-Original-URI: ',
    'X-Forwarded-Uri: ',
    'X-Original-Method: ',
    'Host: ',
    '\n',
    ': ',
    '/',
    '%2e',
    '..',
    ',',
    'Connection: ',
    'Content-Length: 5',
    'Sec-WebSocket-Key: ',
  ],
  guides: ['oauth-proxy/edges/gateway-dialects.ts'],
  run(input) {
    const [method = '', target = '', ...lines] = input.split('\n')
    // Node's parser knows no request without a method.
    if (method === '') return
    const rawHeaders = lines.flatMap((line) => {
      const colon = line.indexOf(':')
      return colon === -1 ? [line, ''] : [line.slice(0, colon), line.slice(colon + 1).trim()]
    })
    for (const dialect of Object.values(gatewayDialects)) {
      const read = unlessRefused(() =>
        createQuestionReader('/oauth-proxy/verify', dialect)({ method, target, rawHeaders }),
      )
      if (read === undefined) continue
      promise(read.method !== '' && read.target !== '', 'nothing is guessed')
      const names = read.rawHeaders.filter((_, at) => at % 2 === 0).map((name) => name.toLowerCase())
      promise(names.filter((name) => name === 'host').length === 1, 'one host')
      promise(
        !names.some((name) => /^(?:content-length|transfer-encoding|connection|x-original-.*)$/.test(name)),
        'no field of the question passes',
      )
    }
  },
}

const keyRing = '{"version":1,"keys":[]}'
const settings: FuzzTarget = {
  name: 'settings-file',
  seeds: [
    settingsFile(),
    settingsFile({ proxy: { routes: [{ path: '/api/**', upstream: 'https://api.example.com' }] } }),
    settingsFile({ cors: { origins: ['https://shop.example.com'] } }),
  ],
  dictionary: [
    '\n',
    ': ',
    '- ',
    '  ',
    '${A}',
    '&a ',
    '*a',
    '!!js/function',
    '"',
    '[',
    '{',
    'null',
    '~',
    '<<: *a',
    'insecure_allow_http: true',
    '__proto__: ',
    '0x10',
    '.inf',
    '---\n',
    '\t',
    '/**',
    '0.0.0.0/0',
  ],
  guides: [
    'shared/config/load.ts',
    'shared/config/checks/every-process.ts',
    'shared/config/prepare.ts',
    'shared/config/walk.ts',
  ],
  run(input) {
    try {
      const config = parseConfig(input, { env: { A: 'x' }, readFile: () => keyRing })
      const local = /^http:\/\/(?:[a-z0-9-]+\.)*localhost(?::\d+)?$|^http:\/\/127\.|^http:\/\/\[::1\]/.test(
        config.publicOrigin,
      )
      promise(
        config.publicOrigin.startsWith('https://') || (local && config.insecureAllowHttp),
        'no public site over http',
      )
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      promise(error.problems.length > 0, 'every refusal names a problem')
    }
  },
}

export const targets: readonly FuzzTarget[] = [
  cookies,
  sealed,
  path,
  head,
  framing,
  returnTo,
  parameters,
  authorizationResponse,
  gateway,
  logoutToken,
  settings,
  sessionsTarget('sessions', true),
  sessionsTarget('sessions-without-store', false),
]
