import type { CallOptions, Transport, TransportSettings, TransportTls } from '../../shared/oauth/transport.ts'
import { createTransport } from '../../shared/oauth/transport.ts'
import type { Clock } from '../../shared/clock.ts'
import type { ProviderEndpoint } from '../../shared/oauth/provider-error.ts'
import type { Observe } from '../../shared/observe/events.ts'

/** One call to the authorization server. */
export interface TappedCall {
  /** Which replica made it, counted from 0. */
  readonly replica: number
  readonly endpoint: ProviderEndpoint
  readonly url: string
  readonly form: URLSearchParams
  readonly headers: Readonly<Record<string, string>>
  /** Undefined while there is no answer, or when there never was one. */
  status?: number
}

/** A secret that passed between agent and authorization server, in the forms in which it could leak. */
export interface TappedSecret {
  readonly kind: string
  readonly forms: readonly string[]
}

/** Listens to every call to the authorization server. */
export interface Tap {
  readonly calls: TappedCall[]
  /** Calls of one grant type. */
  grants(grantType: string): TappedCall[]
  secrets(): readonly TappedSecret[]
  /** Keeps an answer back for as long as this promises. */
  hold: (endpoint: ProviderEndpoint) => Promise<void>
  around(parts: {
    config: TransportSettings
    clock: Clock
    observe: Observe
    tls?: TransportTls
    replica?: number
  }): Transport
}

const requestSecrets = ['code', 'code_verifier', 'refresh_token', 'client_secret', 'client_assertion', 'token']
const answerSecrets = ['access_token', 'refresh_token', 'id_token']

/** Creates a tap that has heard nothing yet. */
export function createTap(): Tap {
  const calls: TappedCall[] = []
  const seen = new Map<string, string>()
  const note = (kind: string, value: unknown) => {
    if (typeof value === 'string' && value !== '') seen.set(value, kind)
  }
  const tap: Tap = {
    calls,
    hold: () => Promise.resolve(),
    grants: (grantType) => calls.filter(({ form }) => form.get('grant_type') === grantType),
    secrets: () => [...seen].map(([value, kind]) => ({ kind, forms: formsOf(value) })),
    around(parts) {
      const transport = createTransport(parts)
      return {
        async call(endpoint: ProviderEndpoint, url: string, options: CallOptions) {
          const form = new URLSearchParams(options.body ?? '')
          const call: TappedCall = { replica: parts.replica ?? 0, endpoint, url, form, headers: options.headers }
          calls.push(call)
          for (const name of requestSecrets) note(name, form.get(name))
          const response = await transport.call(endpoint, url, options)
          call.status = response.status
          if (endpoint === 'token') {
            const body = (await response
              .clone()
              .json()
              .catch(() => ({}))) as Record<string, unknown> | null
            for (const name of answerSecrets) note(name, body?.[name])
          }
          await tap.hold(endpoint)
          return response
        },
        close: () => transport.close(),
      }
    },
  }
  return tap
}

/** Plain, base64, base64url and URL-encoded; and the tail of a JWT, since its beginning is the same in all of them. */
function formsOf(secret: string): string[] {
  const bytes = Buffer.from(secret)
  const plain = secret.split('.').length === 3 ? secret.slice(-24) : secret.slice(0, 24)
  const encoded = [bytes.toString('base64').slice(0, 40), bytes.toString('base64url').slice(0, 40)]
  return [plain, encodeURIComponent(plain), ...encoded].filter((form) => form.length >= 8)
}
