import type { CrossProblem } from './check.ts'
import { isLoopbackHost, isLocalOrigin, isSingleHost } from '../local.ts'
import type { Config, Route } from '../schema.ts'
import { upstreamsOf } from '../upstreams.ts'

/** Where plain HTTP is allowed: nowhere, except on this machine, or where the operator states that the network protects it. */
export function* transportChecks(config: Config): Iterable<CrossProblem> {
  yield* plainHttpChecks(config)
  yield* issuerChecks(config.authorizationServer.issuer)
  yield* proxyChecks(config.authorizationServer)
  for (const [index, route] of config.proxy.routes.entries()) yield* upstreamChecks(route, `proxy.routes[${index}]`)
  yield* listenerTlsChecks(config)
  yield* endpointCheck(config.observability.otlpEndpoint)
}

function* plainHttpChecks({ publicOrigin, insecureAllowHttp, authorizationServer }: Config): Iterable<CrossProblem> {
  const local = isLocalOrigin(publicOrigin)
  const httpGiven = { given: ['insecure_allow_http', 'public_origin'] }

  if (insecureAllowHttp && !local) {
    yield {
      path: 'insecure_allow_http',
      problem: 'is refused, because the public origin is not on localhost',
      remedy: 'Remove it and use https: everywhere.',
      given: ['public_origin'],
    }
  }
  const httpAllowed = insecureAllowHttp && local
  if (publicOrigin.startsWith('http:') && !httpAllowed) {
    yield {
      path: 'public_origin',
      problem: 'uses http:, over which browsers neither store nor protect the cookies',
      remedy: 'Use https:, or for development a localhost origin with insecure_allow_http: true.',
      ...httpGiven,
    }
  }
  if (authorizationServer.issuer.startsWith('http:') && !httpAllowed) {
    yield {
      path: 'authorization_server.issuer',
      problem: 'uses http:, so anybody on the network path could answer instead of the authorization server',
      remedy: 'Use https:, or for development a localhost public_origin with insecure_allow_http: true.',
      ...httpGiven,
    }
  }
}

function* issuerChecks(issuer: string): Iterable<CrossProblem> {
  const path = 'authorization_server.issuer'
  if (issuer.includes('/.well-known/')) {
    yield {
      path,
      problem: 'is the address of the metadata document',
      remedy: 'Copy the value of "issuer" from that document.',
    }
  }
  if (new URL(issuer).search !== '') {
    yield {
      path,
      problem: 'has a query',
      remedy: 'An issuer has no query (RFC 8414 §2); copy it from the metadata document.',
    }
  }
}

function* proxyChecks(settings: Config['authorizationServer']): Iterable<CrossProblem> {
  const { issuer, httpProxy, httpProxyAuthorization, httpProxyCaFile } = settings
  const [path, given] = ['authorization_server.http_proxy', ['authorization_server.http_proxy']]
  if (httpProxy !== undefined && issuer.startsWith('http:')) {
    yield {
      path,
      problem: 'would carry calls to an http: issuer, so the proxy could read every token',
      remedy: 'Use an https: issuer, or remove the proxy.',
      given: ['authorization_server.issuer'],
    }
  }
  if (httpProxy === undefined && httpProxyAuthorization !== undefined) {
    yield {
      path: `${path}_authorization`,
      problem: 'is set without http_proxy, so calls would go directly',
      remedy: 'Set authorization_server.http_proxy, or remove it.',
      given,
    }
  }
  if (httpProxyCaFile !== undefined && httpProxy?.startsWith('https:') !== true) {
    yield {
      path: `${path}_ca_file`,
      problem: 'is set, but no proxy is reached over https:',
      remedy: 'Give http_proxy as https:, or remove it.',
      given,
    }
  }
}

function* upstreamChecks(route: Route, path: string): Iterable<CrossProblem> {
  for (const upstream of upstreamsOf(route)) {
    const url = new URL(upstream)
    if (url.protocol === 'http:' && route.transport !== 'protected_network' && !isLoopbackHost(url.hostname)) {
      yield {
        path: `${path}.upstream`,
        problem: 'uses http:, so access tokens would cross the network unprotected',
        remedy: 'Use https:, or set transport: protected_network if a service mesh protects this link.',
        given: [`${path}.transport`],
      }
    }
  }
  if ((route.clientCertificateFile === undefined) !== (route.clientPrivateKeyFile === undefined)) {
    yield {
      path,
      problem: 'has only one of client_certificate_file and client_private_key_file',
      remedy: 'Give both, or neither.',
    }
  }
}

/** Half of a certificate must not end in plain HTTP, nor a demand for certificates in nobody being asked for one. */
function* listenerTlsChecks({ agent, proxy }: Config): Iterable<CrossProblem> {
  for (const [name, { listen }] of Object.entries({ agent, proxy })) {
    const path = `${name}.listen`
    if ((listen.certificateFile === undefined) !== (listen.privateKeyFile === undefined)) {
      yield {
        path,
        problem: 'has only one of certificate_file and private_key_file',
        remedy: 'Give both, or neither.',
      }
    } else if (listen.clientCaFile !== undefined && listen.certificateFile === undefined) {
      yield {
        path: `${path}.client_ca_file`,
        problem: 'is set without a certificate, so there would be no TLS in which to ask clients for theirs',
        remedy: `Set ${path}.certificate_file and private_key_file as well.`,
      }
    }
    if (listen.socket !== undefined && listen.certificateFile !== undefined) {
      yield {
        path: `${path}.certificate_file`,
        problem: 'is set as well as socket, and TLS is for host and port only',
        remedy: `Keep the socket, which no other machine can reach, or ${path}.host and ${path}.port.`,
        given: [`${path}.socket`],
      }
    }
  }
}

function* endpointCheck(endpoint: string | undefined): Iterable<CrossProblem> {
  if (endpoint === undefined) return
  const { protocol, hostname } = URL.parse(endpoint) ?? {}
  if (/^https?:$/.test(protocol ?? '') && isSingleHost(hostname ?? '')) return
  yield {
    path: 'observability.otlp_endpoint',
    problem: 'is not an http(s) URL of a single host',
    remedy: 'Give the whole URL, such as http://localhost:4318/v1/traces.',
  }
}
