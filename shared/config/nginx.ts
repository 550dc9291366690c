import { type ErrorCode, errorTable } from '../errors.ts'
import { luaText, luaValue } from './lua.ts'
import { type NginxGroup, type NginxRoute, nginxGroups } from './nginx-routes.ts'
import type { Config } from './schema.ts'

/** What nginx needs to know that is not a setting. */
export interface NginxFacts {
  /** Full name of the access cookie. */
  readonly accessCookie: string
  /** Prefixes of the names of all our cookies. */
  readonly ownPrefixes: readonly string[]
  /** Values of Host under which the public origin is asked for. */
  readonly hosts: readonly string[]
  /** Request fields of clients that no API sees. */
  readonly managedRequestFields: readonly string[]
  /** Response fields of APIs that no browser sees. */
  readonly refusedResponseFields: readonly string[]
  /** Folder that holds token_handler.lua. */
  readonly luaFolder: string
  /** Certificate authorities for APIs that name none. */
  readonly caFile: string
}

export interface NginxConfiguration {
  /** For the http block. */
  readonly http: string
  /** For the server block of the public origin. */
  readonly server: string
  /** Routes that stay with the proxy, and why. */
  readonly handedOver: readonly { readonly path: string; readonly reason: string }[]
}

/** Fields that browsers send and whose family is managed; naming them saves the module the work of taking them out. */
const browserFields = [
  'sec-ch-ua',
  'sec-ch-ua-mobile',
  'sec-ch-ua-platform',
  'sec-fetch-dest',
  'sec-fetch-mode',
  'sec-fetch-site',
  'sec-fetch-storage-access',
  'sec-fetch-user',
  'sec-gpc',
  'token-handler-version',
]
/** Fields of an API whose value decides what becomes of them, or that may stand beside ours. */
const judgedByModule = ['location', 'vary']
/** Fields for which nginx has values of its own. */
const nginxFields = [
  'connection',
  'content-length',
  'expect',
  'host',
  'keep-alive',
  'te',
  'transfer-encoding',
  'upgrade',
]

const moduleErrors: readonly ErrorCode[] = [
  'ambiguous_request',
  'ambiguous_cookie',
  'host_not_allowed',
  'route_not_found',
  'method_not_allowed',
  'payload_too_large',
  'expectation_failed',
  'framing_not_supported',
  'overloaded',
  'server_error',
  'header_missing',
  'origin_not_allowed',
  'csrf_token_invalid',
  'session_missing',
  'session_invalid',
  'session_expired',
  'access_token_expired',
  'insufficient_user_authentication',
  'insufficient_scope',
  'upstream_unreachable',
  'upstream_invalid_response',
  'upstream_response_timeout',
  'upstream_unauthorized',
]

/** Failures that nginx finds itself, by the status it gives them. */
const nginxFailures: readonly (readonly [number, ErrorCode])[] = [
  [400, 'ambiguous_request'],
  [405, 'method_not_allowed'],
  [413, 'payload_too_large'],
  [414, 'ambiguous_request'],
  [494, 'ambiguous_request'],
  [500, 'server_error'],
  [501, 'framing_not_supported'],
  [502, 'upstream_unreachable'],
  [503, 'overloaded'],
  [504, 'upstream_response_timeout'],
  [590, 'upstream_invalid_response'],
]

/**
 * Configuration for nginx with the Lua module: the decision of the proxy is taken inside nginx wherever the cookie is
 * all it takes; other routes, and the agent, are passed on to the processes of this software.
 */
export function nginxConfiguration(config: Config, facts: NginxFacts): NginxConfiguration {
  const groups = nginxGroups(config)
  return {
    http: httpPart(config, facts, groups),
    server: serverPart(config, facts, groups),
    handedOver: groups.flatMap(({ path, handedOver }) =>
      handedOver === undefined ? [] : [{ path, reason: handedOver }],
    ),
  }
}

function httpPart(config: Config, facts: NginxFacts, groups: readonly NginxGroup[]): string {
  const direct = groups.flatMap(({ routes, handedOver }) => (handedOver === undefined ? routes : []))
  return lines(
    `lua_package_path "${facts.luaFolder}/?.lua;;";`,
    '',
    'init_by_lua_block {',
    '  token_handler = require "token_handler"',
    `  token_handler.configure(${indent(luaValue(moduleSettings(config, facts, groups)))})`,
    '}',
    '',
    // h2c and the rest would leave the request that was decided on.
    'map $http_upgrade $th_upgrade { ~*^websocket$ websocket; default ""; }',
    'map $th_upgrade $th_connection { websocket upgrade; default ""; }',
    '',
    ...process('token_handler_agent', config.agent.listen),
    ...process('token_handler_proxy', config.proxy.listen),
    ...direct.flatMap(upstreamBlock),
  )
}

function moduleSettings(config: Config, facts: NginxFacts, groups: readonly NginxGroup[]) {
  const { publicOrigin, cors, csrf, client, authorizationServer, keys } = config
  return {
    public_origin: publicOrigin,
    client_id: client.id,
    issuer: authorizationServer.issuer,
    key_file: keys.file,
    access_cookie: facts.accessCookie,
    own_prefixes: facts.ownPrefixes,
    hosts: setOf(facts.hosts),
    cors_origins: setOf(cors.origins),
    has_cors: cors.origins.length > 0,
    cors_max_age_seconds: cors.maxAgeSeconds,
    csrf_required: csrf.token === 'required',
    cached_sessions: 2000,
    removed_request_headers: [...facts.managedRequestFields, ...browserFields, ...nginxFields],
    errors: Object.fromEntries(moduleErrors.map((code) => [code, errorRow(code)])),
    groups: groups.map((group) => ({
      path: group.path,
      methods: group.routes.flatMap(({ setting }) => setting.methods),
      allows: setOf(group.routes.flatMap(({ setting }) => setting.methods)),
      routes: Object.fromEntries(
        group.routes.flatMap((route) => route.setting.methods.map((method) => [method, moduleRoute(route, group)])),
      ),
    })),
  }
}

function moduleRoute({ setting, name, upstreamOrigin }: NginxRoute, group: NginxGroup) {
  const { stripPrefix = '', addPrefix = '' } = setting
  return {
    credential: setting.credential.kind === 'user',
    anonymous: setting.anonymous === 'none',
    headerless: setOf(setting.headerless),
    forward_cookies: setting.forwardCookies.length === 0 ? undefined : setOf(setting.forwardCookies),
    rewrites: stripPrefix !== '' || addPrefix !== '',
    strip_prefix: stripPrefix,
    add_prefix: addPrefix,
    upstream_origin: upstreamOrigin,
    redirect_origins: setOf(setting.redirectOrigins),
    location: group.routes.length > 1 ? `@${name}` : undefined,
  }
}

/** The numbers of nginx's log levels: 4 error, 5 warn, 7 info, 8 debug. */
const logLevels = { error: 4, warn: 5, info: 7, debug: 8 } as const

function errorRow(code: ErrorCode) {
  const { status, message, level } = errorTable[code]
  const retryAfter = code === 'overloaded' ? 1 : undefined
  return {
    status,
    level: logLevels[level],
    retry_after: retryAfter,
    body: JSON.stringify({ error_code: code, detailed_error: message, retry_after: retryAfter }),
  }
}

function serverPart(config: Config, facts: NginxFacts, groups: readonly NginxGroup[]): string {
  return lines(
    '# What Node refuses is refused here too, instead of being left out silently.',
    'underscores_in_headers on;',
    'ignore_invalid_headers off;',
    'large_client_header_buffers 4 16k;',
    ...earlyFailures.map((status) => `error_page ${status} ${failurePath(status)};`),
    ...realAddress(config),
    '',
    ...passedOn(`location ^~ ${config.agent.path}/`, 'token_handler_agent'),
    ...groups.flatMap((group, index) => groupLocations(group, index, facts, config)),
    ...nginxFailures.flatMap(([status, code]) => [
      `location = ${failurePath(status)} {`,
      '  internal;',
      '  set $th_cache_control "no-store";',
      ...answerFields.map((line) => `  ${line}`),
      `  content_by_lua_block { token_handler.fail("${code}") }`,
      '}',
    ]),
    `location = ${failurePath(591)} {`,
    '  internal;',
    '  set $th_cache_control "no-store";',
    ...answerFields.map((line) => `  ${line}`),
    '  content_by_lua_block { token_handler.refuse_for_api() }',
    '}',
  )
}

function realAddress({ operations }: Config): readonly string[] {
  if (operations.trustedProxies.length === 0) return []
  return [
    ...operations.trustedProxies.map((range) => `set_real_ip_from ${range};`),
    'real_ip_header X-Forwarded-For;',
    'real_ip_recursive on;',
  ]
}

function groupLocations(group: NginxGroup, index: number, facts: NginxFacts, config: Config): readonly string[] {
  if (group.handedOver !== undefined) {
    return group.matchers.flatMap((matcher) => passedOn(`location ${matcher}`, 'token_handler_proxy'))
  }
  const entry = (body: readonly string[]) =>
    group.matchers.flatMap((matcher) => [`location ${matcher} {`, ...body.map((line) => `  ${line}`), '}'])
  const decide = [
    'set $th_authorization "";',
    ...(group.routes.some(({ setting }) => setting.forwardCookies.length > 0) ? ['set $th_cookie "";'] : []),
    ...(group.routes.some(rewrites) ? ['set $th_target "";'] : []),
    'set $th_request_id "";',
    'set $th_via "1.1 token-handler";',
    'set $th_cache_control "no-store";',
    `access_by_lua_block { token_handler.access(${index + 1}) }`,
    ...answerFields,
    ...failurePages,
  ]
  const [only] = group.routes
  if (group.routes.length === 1 && only !== undefined) return entry([...decide, ...forward(only, index, facts, config)])
  return [
    ...entry(decide),
    ...group.routes.flatMap((route) => [
      `location @${route.name} {`,
      ...[...answerFields, ...failurePages, ...forward(route, index, facts, config)].map((line) => `  ${line}`),
      '}',
    ]),
  ]
}

/** Said of every answer, ours and that of an API (oauth-proxy/forward/response-headers.ts). */
const answerFields = [
  'add_header Cache-Control $th_cache_control always;',
  'add_header Vary "Cookie, Origin" always;',
  'add_header X-Content-Type-Options nosniff always;',
  "add_header Content-Security-Policy \"default-src 'none'; sandbox; frame-ancestors 'none'\" always;",
  'add_header Cross-Origin-Resource-Policy same-origin always;',
  'add_header X-Request-Id $th_request_id always;',
]

const failurePages = [...nginxFailures.map(([status]) => status), 591].map(
  (status) => `error_page ${status} ${failurePath(status)};`,
)
/** Found by nginx before it knows a location; named ones cannot be used then. */
const earlyFailures = [400, 405, 414, 494, 501]

function forward(route: NginxRoute, index: number, facts: NginxFacts, { publicOrigin }: Config): readonly string[] {
  const { setting, name, upstreamOrigin } = route
  const upstream = new URL(upstreamOrigin)
  const streams = setting.headerless.includes('event_stream')
  const readTimeoutMs = Math.max(
    setting.responseTimeoutMs,
    streams ? setting.streamIdleTimeoutMs : setting.idleTimeoutMs,
  )
  const removed = [...facts.managedRequestFields, ...browserFields].filter((field) => !nginxFields.includes(field))
  const own: Readonly<Record<string, string>> = {
    authorization: '$th_authorization',
    cookie: setting.forwardCookies.length > 0 ? '$th_cookie' : '""',
    via: '$th_via',
    'x-request-id': '$th_request_id',
    'x-forwarded-for': '$remote_addr',
    'x-forwarded-host': new URL(publicOrigin).host,
    'x-forwarded-proto': new URL(publicOrigin).protocol.slice(0, -1),
  }
  const names = [...new Set([...Object.keys(own), ...removed])]
  return [
    `header_filter_by_lua_block { token_handler.filter_header(${index + 1}) }`,
    `client_max_body_size ${setting.maxBodyBytes};`,
    'proxy_http_version 1.1;',
    'proxy_buffering off;',
    'proxy_request_buffering off;',
    'proxy_redirect off;',
    'proxy_buffer_size 32k;',
    'proxy_buffers 4 32k;',
    `proxy_connect_timeout ${setting.connectTimeoutMs}ms;`,
    `proxy_send_timeout ${setting.idleTimeoutMs}ms;`,
    `proxy_read_timeout ${readTimeoutMs}ms;`,
    'proxy_ignore_headers X-Accel-Redirect X-Accel-Expires X-Accel-Limit-Rate X-Accel-Charset;',
    `proxy_set_header Host ${luaText(upstream.host)};`,
    'proxy_set_header Connection "";',
    ...names.map((field) => `proxy_set_header ${field} ${own[field] ?? '""'};`),
    ...facts.refusedResponseFields
      .filter((field) => !judgedByModule.includes(field))
      .map((field) => `proxy_hide_header ${field};`),
    ...tls(route, upstream, facts),
    `proxy_pass ${upstream.protocol}//${name}${rewrites(route) ? '$th_target' : ''};`,
  ]
}

function rewrites({ setting }: NginxRoute): boolean {
  return setting.stripPrefix !== undefined || setting.addPrefix !== undefined
}

function tls({ setting }: NginxRoute, upstream: URL, facts: NginxFacts): readonly string[] {
  if (upstream.protocol !== 'https:') return []
  return [
    'proxy_ssl_verify on;',
    'proxy_ssl_verify_depth 4;',
    'proxy_ssl_server_name on;',
    'proxy_ssl_protocols TLSv1.2 TLSv1.3;',
    `proxy_ssl_name ${luaText(upstream.hostname)};`,
    `proxy_ssl_trusted_certificate ${luaText(setting.caFile ?? facts.caFile)};`,
    ...(setting.clientCertificateFile === undefined
      ? []
      : [`proxy_ssl_certificate ${luaText(setting.clientCertificateFile)};`]),
    ...(setting.clientPrivateKeyFile === undefined
      ? []
      : [`proxy_ssl_certificate_key ${luaText(setting.clientPrivateKeyFile)};`]),
  ]
}

function upstreamBlock({ name, setting, upstreamOrigin }: NginxRoute): readonly string[] {
  const { hostname, port, protocol } = new URL(upstreamOrigin)
  return [
    `upstream ${name} {`,
    `  zone ${name} 64k;`,
    `  server ${hostname}:${port === '' ? (protocol === 'https:' ? 443 : 80) : port} max_conns=${setting.maxConcurrentRequests};`,
    `  keepalive ${Math.min(setting.maxConcurrentRequests, 64)};`,
    '  keepalive_timeout 4s;',
    '}',
  ]
}

function process(name: string, { host, port }: { readonly host: string; readonly port: number }): readonly string[] {
  return [`upstream ${name} {`, `  server ${host.includes(':') ? `[${host}]` : host}:${port};`, '  keepalive 32;', '}']
}

/** A location whose requests go on unchanged; the process behind reads them with its own gate. */
function passedOn(location: string, upstream: string): readonly string[] {
  return [
    `${location} {`,
    '  proxy_http_version 1.1;',
    '  proxy_buffering off;',
    '  proxy_request_buffering off;',
    '  proxy_set_header Host $http_host;',
    '  proxy_set_header X-Forwarded-For $remote_addr;',
    '  proxy_set_header Upgrade $th_upgrade;',
    '  proxy_set_header Connection $th_connection;',
    `  proxy_pass http://${upstream};`,
    '}',
  ]
}

function failurePath(status: number): string {
  return `/token-handler-failed/${status}`
}

function setOf(words: readonly string[]): Readonly<Record<string, boolean>> {
  return Object.fromEntries(words.map((word) => [word, true]))
}

function lines(...parts: readonly string[]): string {
  return `${parts.join('\n')}\n`
}

function indent(text: string): string {
  return text.replaceAll('\n', '\n  ')
}
