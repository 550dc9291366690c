import type { ErrorCode } from '../../shared/errors.ts'
import { browserFields, type NginxFacts, nginxFields, tracedFields } from './facts.ts'
import { quoted } from './quoted.ts'
import type { NginxGroup, NginxRoute } from './routes.ts'
import type { Config } from '../../shared/config/schema.ts'

/** Below it are the locations that answer for nginx. */
export const failureFolder = '/token-handler-failed'

/** Fields of an API whose value decides what becomes of them, or that may appear together with ours. */
const judgedByModule = ['location', 'vary']
/** Failures that nginx finds itself, by the status it gives them. */
export const nginxFailures: readonly (readonly [number, ErrorCode])[] = [
  [400, 'ambiguous_request'],
  [405, 'method_not_allowed'],
  [413, 'payload_too_large'],
  // Node counts the request line as part of the header.
  [414, 'request_header_too_large'],
  // nginx's own number for a header that is too large.
  [494, 'request_header_too_large'],
  [500, 'server_error'],
  [501, 'framing_not_supported'],
  [502, 'upstream_unreachable'],
  [503, 'overloaded'],
  [504, 'upstream_response_timeout'],
  [590, 'upstream_invalid_response'],
]

/** The locations of one group of routes: the decision of the module and the way to the API, or the way to the proxy. */
export function groupLocations(group: NginxGroup, index: number, facts: NginxFacts, config: Config): readonly string[] {
  if (group.handedOver !== undefined) {
    return group.matchers.flatMap((matcher) =>
      passedOn(`location ${matcher}`, 'token_handler_proxy', longestSilenceMs(group), checkedHead),
    )
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
    `set_by_lua_block $th_decision { return token_handler.decide(${index + 1}) }`,
    `if ($th_decision != allowed) { set $th_group ${index + 1}; return ${notAllowed}; }`,
    ...answerFields,
    ...failurePages,
  ]
  const [only] = group.routes
  if (group.routes.length === 1 && only !== undefined) return entry([...decide, ...forward(only, index, facts, config)])
  return [
    ...entry([
      // Content-Length is held to this before the method counts; `decide` holds it to the limit of the route.
      `client_max_body_size ${Math.max(...group.routes.map(({ setting }) => setting.maxBodyBytes))};`,
      ...decide,
      `access_by_lua_block { token_handler.pass_on(${index + 1}) }`,
    ]),
    ...group.routes.flatMap((route) => [
      `location @${route.name} {`,
      ...[...answerFields, ...failurePages, ...forward(route, index, facts, config)].map((line) => `  ${line}`),
      '}',
    ]),
  ]
}

/** Set on every answer, ours and that of an API (oauth-proxy/forward/response-headers.ts). */
export const answerFields = [
  'add_header Cache-Control $th_cache_control always;',
  'add_header Vary "Cookie, Origin" always;',
  'add_header X-Content-Type-Options nosniff always;',
  "add_header Content-Security-Policy \"default-src 'none'; sandbox; frame-ancestors 'none'\" always;",
  'add_header Cross-Origin-Resource-Policy same-origin always;',
  'add_header X-Request-Id $th_request_id always;',
]

/** A status of no protocol, by which nginx goes to the location where the module answers for a refusal of the API. */
export const refusedByApi = 591
/** The same for a request that the module does not allow. */
export const notAllowed = 592

const failurePages = [...nginxFailures.map(([status]) => status), refusedByApi, notAllowed].map(
  (status) => `error_page ${status} ${failurePath(status)};`,
)

function forward(route: NginxRoute, index: number, facts: NginxFacts, { publicOrigin }: Config): readonly string[] {
  const { setting, name, upstreamOrigin } = route
  const upstream = new URL(upstreamOrigin)
  const readTimeoutMs = Math.max(setting.responseTimeoutMs, setting.idleTimeoutMs)
  const kept = [...nginxFields, ...tracedFields]
  const removed = [...facts.managedRequestFields, ...browserFields].filter((field) => !kept.includes(field))
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
    ...wholeAnswer,
    `proxy_connect_timeout ${setting.connectTimeoutMs}ms;`,
    `proxy_send_timeout ${setting.idleTimeoutMs}ms;`,
    `proxy_read_timeout ${readTimeoutMs}ms;`,
    'proxy_ignore_headers X-Accel-Redirect X-Accel-Expires X-Accel-Limit-Rate X-Accel-Charset;',
    `proxy_set_header Host ${quoted(upstream.host)};`,
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
    `proxy_ssl_name ${quoted(upstream.hostname)};`,
    `proxy_ssl_trusted_certificate ${quoted(setting.caFile ?? facts.caFile)};`,
    ...(setting.clientCertificateFile === undefined
      ? []
      : [`proxy_ssl_certificate ${quoted(setting.clientCertificateFile)};`]),
    ...(setting.clientPrivateKeyFile === undefined
      ? []
      : [`proxy_ssl_certificate_key ${quoted(setting.clientPrivateKeyFile)};`]),
  ]
}

/**
 * The answer as it came, also where the operator has nginx put pages of its own in the place of errors. Sealed cookies fill
 * most of 16 KiB; nginx gives up on an answer whose head does not fit, and a code is used up then.
 */
const wholeAnswer = ['proxy_intercept_errors off;', 'proxy_buffer_size 32k;', 'proxy_buffers 4 32k;']

/**
 * Behind these locations are agent and proxy, which report failures of APIs themselves: where nginx reaches neither, or
 * waits in vain, they are busy or starting anew, and the answer is 503 rather than 502 or 504.
 */
const passedOnPages = nginxFailures.map(
  ([status]) => `  error_page ${status} ${failurePath(status === 502 || status === 504 ? 503 : status)};`,
)

/** Of what nginx takes off a head or rewrites in it, the process behind could not refuse anything. */
const checkedHead = [
  'set_by_lua_block $th_decision { return token_handler.check_head() }',
  `if ($th_decision != allowed) { set $th_group 0; return ${notAllowed}; }`,
  `error_page ${notAllowed} ${failurePath(notAllowed)};`,
]

/**
 * A location whose requests go on unchanged; the process behind reads them with its own gate and keeps its own limits, so
 * nginx sets none on the length of a body and gives up after `silenceMs` only, later than that process does.
 */
export function passedOn(
  location: string,
  upstream: string,
  silenceMs: number,
  checks: readonly string[] = [],
): readonly string[] {
  return [
    `${location} {`,
    // Named in the locations that answer for nginx, which must know it even where nginx decides nothing.
    '  set $th_request_id "";',
    '  client_max_body_size 0;',
    '  proxy_http_version 1.1;',
    '  proxy_buffering off;',
    '  proxy_request_buffering off;',
    ...wholeAnswer.map((line) => `  ${line}`),
    `  proxy_read_timeout ${silenceMs}ms;`,
    `  proxy_send_timeout ${silenceMs}ms;`,
    '  proxy_set_header Host $http_host;',
    '  proxy_set_header X-Forwarded-For $remote_addr;',
    '  proxy_set_header Upgrade $th_upgrade;',
    '  proxy_set_header Connection $th_connection;',
    `  proxy_pass http://${upstream};`,
    ...passedOnPages,
    ...checks.map((line) => `  ${line}`),
    '}',
  ]
}

/** The proxy has a second to say that it has given up, before nginx does. */
const laterMs = 1000

function longestSilenceMs({ routes }: NginxGroup): number {
  const silences = routes.flatMap(({ setting: { responseTimeoutMs, idleTimeoutMs, streamIdleTimeoutMs } }) => [
    responseTimeoutMs,
    idleTimeoutMs,
    streamIdleTimeoutMs,
  ])
  return Math.max(...silences) + laterMs
}

/** Where nginx goes with a failure that it found itself. */
export function failurePath(status: number): string {
  return `${failureFolder}/${status}`
}
