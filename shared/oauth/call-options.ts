import * as oauth from 'oauth4webapi'
import type { ProviderEndpoint } from './provider-error.ts'
import type { CallOptions, Transport } from './transport.ts'

/** Options that send a call of oauth4webapi through our transport. */
export interface CallThroughTransport {
  readonly [oauth.customFetch]: (url: string, options: FetchOptions) => Promise<Response>
  readonly [oauth.allowInsecureRequests]: boolean
}

/** What oauth4webapi hands to a fetch; its `redirect: 'manual'` is what the transport does anyway. */
interface FetchOptions {
  readonly method: CallOptions['method']
  readonly headers: Record<string, string>
  readonly body?: URLSearchParams | undefined
}

/** Each grant has its own: what visitors do to sign in must not keep users from refreshing. */
function circuitOf(endpoint: ProviderEndpoint, body: URLSearchParams | undefined): string {
  const grant = body?.get('grant_type')
  return typeof grant === 'string' ? `${endpoint} ${grant}` : endpoint
}

/** Creates the options of each endpoint; `timeoutMs` shortens the wait of one call. */
export function createCallOptions(
  transport: Transport,
  { allowHttp }: { readonly allowHttp: boolean },
): (endpoint: ProviderEndpoint, timeoutMs?: number) => CallThroughTransport {
  return (endpoint, timeoutMs) => ({
    [oauth.customFetch]: (url, { method, headers, body }) =>
      transport.call(endpoint, url, {
        method,
        headers,
        body: body?.toString(),
        timeoutMs,
        circuit: circuitOf(endpoint, body),
      }),
    // Settings refuse http: unless the public origin is localhost.
    [oauth.allowInsecureRequests]: allowHttp,
  })
}
