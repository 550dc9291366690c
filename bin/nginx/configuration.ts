import { luaValue } from './lua.ts'
import type { NginxFacts } from './facts.ts'
import {
  answerFields,
  failurePath,
  groupLocations,
  nginxFailures,
  notAllowed,
  passedOn,
  refusedByApi,
} from './locations.ts'
import { quoted } from './quoted.ts'
import { moduleSettings } from './module.ts'
import { type NginxGroup, type NginxRoute, nginxGroups } from './routes.ts'
import type { Config } from '../../shared/config/schema.ts'
import { plainRange } from '../../shared/http/client-address.ts'
import type { Listen } from '../../shared/http/start-listening.ts'

/** Configuration of nginx as text, in the two places where it belongs. */
export interface NginxConfiguration {
  /** For the http block. */
  readonly http: string
  /** For the server block of the public origin. */
  readonly server: string
  /** Routes that stay with the proxy, and why. */
  readonly handedOver: readonly { readonly path: string; readonly reason: string }[]
}

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
  return lines([
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
    ...processUpstream('token_handler_agent', config.agent.listen, config),
    ...processUpstream('token_handler_proxy', config.proxy.listen, config),
    ...direct.flatMap(upstreamBlock),
  ])
}

/**
 * Longer than the agent takes for an answer: it waits 3 seconds for its turn, then for four calls to the authorization
 * server, each at its slowest (oauth-agent/flows/turn.ts); a sign-out waits for the revocation.
 */
function agentSilenceMs({ authorizationServer, logout }: Config): number {
  return Math.max(60_000, 5 * authorizationServer.timeoutMs, 2 * logout.revocationTimeoutMs)
}

/** Found by nginx before it knows a location; named ones cannot be used then. */
const earlyFailures = [400, 405, 414, 494, 501]

function serverPart(config: Config, facts: NginxFacts, groups: readonly NginxGroup[]): string {
  return lines([
    '# What Node refuses is refused here too, instead of being left out silently.',
    'underscores_in_headers on;',
    'ignore_invalid_headers off;',
    '# Else a field of an API that is written with _ could not be taken out by its name.',
    'lua_transform_underscores_in_response_headers off;',
    '# The head of a request with our cookies is several KB: a buffer for all of it saves reading it in two pieces.',
    'client_header_buffer_size 8k;',
    'large_client_header_buffers 4 16k;',
    ...earlyFailures.map((status) => `error_page ${status} ${failurePath(status)};`),
    ...realAddress(config),
    '',
    ...passedOn(`location ^~ ${config.agent.path}/`, 'token_handler_agent', agentSilenceMs(config)),
    ...groups.flatMap((group, index) => groupLocations(group, index, facts, config)),
    ...nginxFailures.flatMap(([status, code]) => answeredByModule(status, `token_handler.fail("${code}")`)),
    ...answeredByModule(refusedByApi, 'token_handler.refuse_for_api()'),
    ...answeredByModule(notAllowed, 'token_handler.answer_decision()'),
  ])
}

function answeredByModule(status: number, call: string): readonly string[] {
  return [
    `location = ${failurePath(status)} {`,
    '  internal;',
    // Or nginx would hold the body of the refused request to its own limit, and answer 413 in words of its own.
    '  client_max_body_size 0;',
    '  set $th_cache_control "no-store";',
    ...answerFields.map((line) => `  ${line}`),
    `  content_by_lua_block { ${call} }`,
    '}',
  ]
}

function realAddress({ operations }: Config): readonly string[] {
  if (operations.trustedProxies.length === 0) return []
  return [
    ...operations.trustedProxies.map((range) => `set_real_ip_from ${plainRange(range)};`),
    'real_ip_header X-Forwarded-For;',
    'real_ip_recursive on;',
  ]
}

/** Below the time after which ours close idle connections, at work and when they stop: no POST meets a closing one. */
function processKeepAliveMs({ operations: { keepAliveSeconds, shutdownWaitSeconds } }: Config): number {
  return 800 * Math.min(keepAliveSeconds, shutdownWaitSeconds)
}

function upstreamBlock({ name, setting, upstreamOrigin }: NginxRoute): readonly string[] {
  const { hostname, port, protocol } = new URL(upstreamOrigin)
  return [
    `upstream ${name} {`,
    `  zone ${name} 64k;`,
    `  server ${hostname}:${port === '' ? (protocol === 'https:' ? 443 : 80) : port} max_conns=${setting.maxConcurrentRequests};`,
    `  keepalive ${Math.min(setting.maxConcurrentRequests, 64)};`,
    // By default a busy connection ends after 1,000 calls, and an API over TLS shakes hands anew.
    '  keepalive_requests 100000;',
    `  keepalive_timeout ${setting.keepAliveSeconds}s;`,
    '}',
  ]
}

function processUpstream(name: string, { host, port, socket }: Listen, config: Config): readonly string[] {
  // In quotes, because a path may hold what else ends a parameter of nginx, or begins a block.
  const server = socket === undefined ? `${host.includes(':') ? `[${host}]` : host}:${port}` : quoted(`unix:${socket}`)
  return [
    `upstream ${name} {`,
    `  server ${server};`,
    '  keepalive 32;',
    `  keepalive_timeout ${processKeepAliveMs(config)}ms;`,
    '}',
  ]
}

function lines(parts: readonly string[]): string {
  return `${parts.join('\n')}\n`
}

function indent(text: string): string {
  return text.replaceAll('\n', '\n  ')
}
