import { stringify } from 'yaml'

export interface DemoSettings {
  readonly publicOrigin: string
  readonly pageOrigin: string
  readonly issuer: string
  readonly clientSecret: string
  readonly apiOrigin: string
  readonly apiKey: string
  /** For which tokens are exchanged. */
  readonly partnerAudience: string
  readonly idleSeconds: number
  readonly absoluteSeconds: number
  readonly refreshAheadSeconds: number
  readonly mfaLevel: string
  readonly plainCookies: boolean
}

/** The settings file of the demo, as anyone would write it. */
export function demoSettings(settings: DemoSettings): string {
  const api = { upstream: settings.apiOrigin, strip_prefix: '/api' }
  return stringify({
    public_origin: settings.publicOrigin,
    ...(settings.pageOrigin === settings.publicOrigin
      ? {}
      : { page_origin: settings.pageOrigin, cors: { origins: [settings.pageOrigin] } }),
    insecure_allow_http: true,
    authorization_server: { issuer: settings.issuer, timeout_ms: 3000 },
    client: { id: 'example-spa', authentication: 'client_secret_basic', secret: settings.clientSecret },
    login: { scope: 'openid profile email orders' },
    session: {
      idle_seconds: settings.idleSeconds,
      absolute_seconds: settings.absoluteSeconds,
      refresh_ahead_seconds: settings.refreshAheadSeconds,
    },
    logout: { backchannel: true },
    ...(settings.plainCookies ? { cookies: { insecure_plain: true } } : {}),
    keys: { file: 'held-in-memory' },
    proxy: {
      routes: [
        { path: '/api/orders', methods: ['GET', 'POST'], ...api },
        { path: '/api/received', ...api },
        { path: '/api/transfers', methods: ['POST'], ...api, require: { acr: [settings.mfaLevel] } },
        { path: '/api/uploads', methods: ['POST'], ...api, max_body_bytes: 1_073_741_824 },
        { path: '/api/prices', ...api, headerless: ['event_stream'] },
        { path: '/api/chat', ...api, websocket: true, headerless: ['websocket'] },
        {
          path: '/api/catalogue',
          ...api,
          credential: { kind: 'client_credentials' },
          anonymous: 'client_credentials',
        },
        {
          path: '/api/partner/**',
          upstream: settings.apiOrigin,
          strip_prefix: '/api/partner',
          credential: { kind: 'exchange', audience: settings.partnerAudience, scope: 'invoices' },
        },
        { path: '/api/weather', ...api, credential: { kind: 'api_key', value: settings.apiKey }, anonymous: 'none' },
      ],
    },
  })
}
