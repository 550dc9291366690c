import { rememberByName } from '../../shared/http/name-memory.ts'
import type { RequestHead } from '../../shared/http/request-gate.ts'
import type { Credential } from '../credentials/credential.ts'
import { viaValue } from '../gate/via.ts'
import { identityHeaderNames } from '../identity-headers.ts'
import { connectionOptions, hopByHop } from './hop-by-hop.ts'

/** Headers by which APIs carry out another method or path than the one decided on, or skip their own checks (F05). */
export const overridingNames: readonly string[] = [
  'x-http-method',
  'x-http-method-override',
  'x-method-override',
  'x-middleware-subrequest',
  'x-rewrite-url',
]

/** Set by us or meant for us: never taken from a client, in any spelling. */
export const managedNames: ReadonlySet<string> = new Set([
  'access-control-request-headers',
  'access-control-request-method',
  'authorization',
  'client-ip',
  'content-length',
  'cookie',
  'dpop',
  'expect',
  'forwarded',
  'front-end-https',
  'host',
  'max-forwards',
  'origin',
  'referer',
  'remote-addr',
  'traceparent',
  'tracestate',
  'true-client-ip',
  'via',
  'x-client-ip',
  'x-cluster-client-ip',
  'x-csrf-token',
  'x-host',
  'x-real-ip',
  'x-request-id',
  ...identityHeaderNames,
  ...overridingNames,
])

/**
 * Families of names that gateways and APIs trust because they think a gateway wrote them: who somebody is, in the words
 * of the gateways, clouds and meshes that an API may have stood behind before (H20), and their certificates (RFC 9440 §4).
 */
export const managedPrefixes: readonly string[] = [
  'cf-',
  'client-cert',
  'fastly-client-',
  'l5d-',
  'oidc-',
  'proxy-',
  'remote-',
  'sec-',
  'shib-',
  'ssl-client-',
  'tailscale-',
  'token-handler-',
  'x-accel-',
  'x-amzn-mtls-',
  'x-amzn-oidc-',
  'x-apigateway-api-userinfo',
  'x-arr-clientcert',
  'x-auth-email',
  'x-auth-group',
  'x-auth-name',
  'x-auth-request-',
  'x-auth-role',
  'x-auth-user',
  'x-authenticated-',
  'x-authentik-',
  'x-client-cert',
  'x-client-dn',
  'x-client-verify',
  'x-consumer-',
  'x-credential-',
  'x-endpoint-api-userinfo',
  'x-envoy-',
  'x-forwarded',
  'x-goog-authenticated-user-',
  'x-goog-iap-',
  'x-id-token',
  'x-jwt-assertion',
  'x-ms-client-principal',
  'x-ms-token-',
  'x-original-',
  'x-pomerium-',
  'x-remote-',
  'x-sendfile',
  'x-ssl-',
  'x-th-',
  'x-tls-client-',
  'x-user',
  'x-vouch-',
  'x-webauth-',
]

const managedFamily = new RegExp(`^(?:${managedPrefixes.join('|')})`)

/** True for a field that may travel on; the gate has refused names with anything but letters, digits and dashes (H02). */
const isForwarded = rememberByName(
  (name) => !hopByHop.has(name) && !managedNames.has(name) && !managedFamily.test(name),
)

/** What we say ourselves, in the name of no client. */
export interface OwnRequestFields {
  /** Undefined where the route wants none. */
  readonly credential: Credential | undefined
  /** A header that this route may set for a credential, so that no visitor sets it instead. */
  readonly credentialHeader: string | undefined
  readonly clientAddress: string
  readonly publicHost: string
  readonly publicProtocol: 'http' | 'https'
  readonly requestId: string
  /** Cookies that the API may see, or empty. */
  readonly cookies: string
  readonly traceparent: string | undefined
  readonly tracestate: string | undefined
}

/**
 * The header of the request to the API: what arrived, less everything hop-by-hop and everything we manage; ours last.
 *
 * Taking away comes before setting, so that no `Connection: authorization` can take away what we set (H01, HX-5).
 */
export function upstreamRequestHeaders(head: RequestHead, own: OwnRequestFields): Record<string, string> {
  const headers: Record<string, string> = {}
  const dropped = connectionOptions(head.fields.connection)
  for (const name in head.fields) {
    if (isForwarded(name) && !dropped.has(name) && name !== own.credentialHeader)
      headers[name] = head.fields[name] ?? ''
  }
  if (head.contentLength !== undefined && head.hasBody) headers['content-length'] = String(head.contentLength)
  headers['x-forwarded-for'] = own.clientAddress
  headers['x-forwarded-host'] = own.publicHost
  headers['x-forwarded-proto'] = own.publicProtocol
  headers['x-request-id'] = own.requestId
  headers.via = viaValue(head.fields.via)
  if (own.cookies !== '') headers.cookie = own.cookies
  if (own.traceparent !== undefined) headers.traceparent = own.traceparent
  if (own.tracestate !== undefined) headers.tracestate = own.tracestate
  if (own.credential !== undefined) headers[own.credential.header] = own.credential.value
  return headers
}
