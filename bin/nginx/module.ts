import { errorTable } from '../../shared/error-table.ts'
import type { ErrorCode } from '../../shared/errors.ts'
import { browserFields, type NginxFacts, nginxFields } from './facts.ts'
import type { NginxGroup, NginxRoute } from './routes.ts'
import { ownOrigins } from '../../oauth-proxy/forward/location.ts'
import type { Config } from '../../shared/config/schema.ts'
import { allowedHeaders, exposedHeaders } from '../../shared/http/cors.ts'
import { listFields } from '../../shared/http/request-gate.ts'

/** Codes with which the module refuses by itself. */
const moduleErrors: readonly ErrorCode[] = [
  'ambiguous_request',
  'ambiguous_cookie',
  'host_not_allowed',
  'route_not_found',
  'method_not_allowed',
  'payload_too_large',
  'request_header_too_large',
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
  'authorization_server_error',
  'insufficient_user_authentication',
  'insufficient_scope',
  'upstream_unreachable',
  'upstream_invalid_response',
  'upstream_response_timeout',
  'upstream_unauthorized',
]

/** What the Lua module is given: settings, error rows and routes, as it reads them. */
export function moduleSettings(config: Config, facts: NginxFacts, groups: readonly NginxGroup[]) {
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
    cors_allow_headers: allowedHeaders(config),
    cors_expose_headers: exposedHeaders(config),
    cors_max_age_seconds: cors.maxAgeSeconds,
    csrf_required: csrf.token === 'required',
    cached_sessions: 2000,
    list_request_headers: [...listFields],
    managed_request_prefixes: facts.managedRequestPrefixes,
    refused_response_prefixes: facts.refusedResponsePrefixes,
    removed_request_headers: [...facts.managedRequestFields, ...browserFields, ...nginxFields],
    errors: Object.fromEntries(moduleErrors.map((code) => [code, errorRow(code)])),
    groups: groups.map((group) => ({
      path: group.path,
      methods: group.routes.flatMap(({ setting }) => setting.methods),
      allows: setOf(group.routes.flatMap(({ setting }) => setting.methods)),
      routes: Object.fromEntries(
        group.routes.flatMap((route) =>
          route.setting.methods.map((method) => [method, moduleRoute(route, group, publicOrigin)]),
        ),
      ),
    })),
  }
}

function moduleRoute({ setting, name, upstreamOrigin }: NginxRoute, group: NginxGroup, publicOrigin: string) {
  const { stripPrefix = '', addPrefix = '' } = setting
  return {
    credential: setting.credential.kind === 'user',
    anonymous: setting.anonymous === 'none',
    headerless: setOf(setting.headerless),
    forward_cookies: setting.forwardCookies.length === 0 ? undefined : setOf(setting.forwardCookies),
    rewrites: stripPrefix !== '' || addPrefix !== '',
    strip_prefix: stripPrefix,
    add_prefix: addPrefix,
    own_origins: setOf(ownOrigins(upstreamOrigin, publicOrigin)),
    redirect_origins: setOf(setting.redirectOrigins),
    location: group.routes.length > 1 ? `@${name}` : undefined,
    // Alone on its path, a route has its limit in its own location, where nginx looks.
    max_body_bytes: group.routes.length > 1 ? setting.maxBodyBytes : undefined,
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

function setOf(words: readonly string[]): Readonly<Record<string, boolean>> {
  return Object.fromEntries(words.map((word) => [word, true]))
}
