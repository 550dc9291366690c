/**
 * Kinds of values an event may carry. None of them can hold a token: words are at most 40 characters of a small
 * alphabet, everything else is a number, a flag or a value this software made itself.
 */
export type FieldKind =
  | 'word'
  | 'count'
  | 'seconds'
  | 'milliseconds'
  | 'flag'
  | 'method'
  | 'route'
  | 'pseudonym'
  | 'requestId'
  | 'address'

/** What one event means, and which fields it may carry. */
export interface EventRow {
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  /** True for rows of the audit stream. */
  readonly audit: boolean
  /** One sentence for the reference page. */
  readonly when: string
  readonly fields: Readonly<Record<string, FieldKind>>
}

const request = { request_id: 'requestId' } as const
/** The address is there only where the settings ask for it. */
const caller = { ...request, client_address: 'address' } as const
const who = { ...caller, subject: 'pseudonym', session: 'pseudonym' } as const

/** The closed list of everything worth reporting; logs, metrics, traces and the audit stream are sinks of it. */
export const eventTable = {
  'process.started': {
    level: 'info',
    audit: true,
    when: 'A process listens; the key named is the one that seals.',
    fields: { mode: 'word', key_id: 'word', port: 'count' },
  },
  'process.stopping': { level: 'info', audit: true, when: 'A process was asked to stop.', fields: { signal: 'word' } },
  'config.reloaded': {
    level: 'info',
    audit: true,
    when: 'Keys, routes, the client secret or a certificate were read again.',
    fields: { part: 'word', key_id: 'word' },
  },
  'config.rejected': {
    level: 'error',
    audit: true,
    when: 'A changed file was refused, or the audit file could not be opened again; the old one stays in use.',
    fields: { part: 'word', problems: 'count' },
  },
  'config.restart_needed': {
    level: 'warn',
    audit: false,
    when: 'A setting changed that is read at start only.',
    fields: { part: 'word' },
  },
  'handshake.failed': {
    level: 'debug',
    audit: false,
    when: 'A TLS handshake with agent or proxy ended without a connection; reason is what node:tls says.',
    fields: { reason: 'word' },
  },
  'request.answered': {
    level: 'debug',
    audit: false,
    when: 'A request was answered; side is agent, proxy or forward_auth, and none where the request could not be parsed.',
    fields: {
      ...request,
      side: 'word',
      route: 'route',
      method: 'method',
      status: 'count',
      duration_ms: 'milliseconds',
      error_code: 'word',
    },
  },
  'request.refused': {
    level: 'info',
    audit: true,
    when: 'A request was refused, or failed in a way of which no other event tells; provider_error is the error code of the authorization server.',
    fields: { ...who, side: 'word', route: 'route', error_code: 'word', check: 'word', provider_error: 'word' },
  },
  'login.started': {
    level: 'info',
    audit: true,
    when: 'A sign-in was started.',
    fields: { ...caller, step_up: 'flag', prompt: 'word' },
  },
  'login.completed': {
    level: 'info',
    audit: true,
    when: 'A user signed in.',
    fields: { ...who, step_up: 'flag', acr: 'word' },
  },
  'login.failed': {
    level: 'warn',
    audit: true,
    when: 'A sign-in ended without a session.',
    fields: { ...caller, error_code: 'word', check: 'word', provider_error: 'word' },
  },
  'session.refreshed': {
    level: 'info',
    audit: true,
    when: 'Tokens were refreshed.',
    fields: { ...who, generation: 'count', rotated: 'flag', joined: 'flag', activity: 'flag' },
  },
  'session.refresh_failed': {
    level: 'warn',
    audit: true,
    when: 'A refresh failed.',
    fields: { ...who, error_code: 'word', check: 'word', ends_session: 'flag', provider_error: 'word' },
  },
  'id_token.rejected': {
    level: 'warn',
    audit: true,
    when: 'The ID token of a refresh failed its checks; tokens were renewed, claims stay as they were.',
    fields: { ...who, check: 'word' },
  },
  'session.ended': { level: 'info', audit: true, when: 'A session ended.', fields: { ...who, cause: 'word' } },
  'logout.completed': {
    level: 'info',
    audit: true,
    when: 'A user signed out. revoked: the authorization server confirmed that it revoked the refresh token, or else the access token. provider_error (RFC 7009 §2.2.1) or check: why it did not, where that is known.',
    fields: { ...who, revoked: 'flag', check: 'word', provider_error: 'word' },
  },
  'logout.backchannel': {
    level: 'info',
    audit: true,
    when: 'A back-channel logout token was accepted, with the subject if it names one, or refused.',
    fields: { ...caller, subject: 'pseudonym', accepted: 'flag', check: 'word' },
  },
  'cookie.unreadable': {
    level: 'info',
    audit: true,
    when: 'A cookie could not be opened.',
    fields: { ...request, cookie: 'word', reason: 'word', key_id: 'word' },
  },
  'cookie.opened': {
    level: 'debug',
    audit: false,
    when: 'A cookie was opened; counted per key id.',
    fields: { cookie: 'word', key_id: 'word', cached: 'flag' },
  },
  'provider.called': {
    level: 'debug',
    audit: false,
    when: 'The authorization server was called.',
    fields: { endpoint: 'word', status: 'count', duration_ms: 'milliseconds', outcome: 'word' },
  },
  'provider.unavailable': {
    level: 'error',
    audit: false,
    when: 'The authorization server cannot be used; code is that of the network or TLS failure, where there was one. A reason that begins with proxy_ is about authorization_server.http_proxy; proxy_status is what that proxy answered instead of opening a tunnel.',
    fields: { endpoint: 'word', reason: 'word', code: 'word', proxy_status: 'count' },
  },
  'provider.clock_skew': {
    level: 'warn',
    audit: false,
    when: 'The clock of the authorization server and ours differ.',
    fields: { skew_seconds: 'seconds' },
  },
  'upstream.failed': {
    level: 'warn',
    audit: false,
    when: 'An API could not be reached, kept us waiting, broke off, or gave an answer that cannot be passed on; check is the rule that the answer broke, or the code of the network or TLS failure; EMFILE says that this process has no file descriptor left. With target, one of several upstreams (counted from 0) could not be reached and the call went on at another.',
    fields: {
      ...request,
      route: 'route',
      error_code: 'word',
      check: 'word',
      duration_ms: 'milliseconds',
      target: 'count',
    },
  },
  'upstream.called': {
    level: 'debug',
    audit: false,
    when: 'An API was called.',
    fields: {
      ...request,
      route: 'route',
      status: 'count',
      duration_ms: 'milliseconds',
      outcome: 'word',
      retried: 'flag',
    },
  },
  'credential.obtained': {
    level: 'debug',
    audit: false,
    when: 'A token for an API was obtained or found in the cache.',
    fields: { ...request, route: 'route', credential: 'word', cached: 'flag', outcome: 'word' },
  },
  'stream.closed': {
    level: 'info',
    audit: false,
    when: 'A stream, or an answer without a length, was ended by us.',
    fields: { ...request, route: 'route', cause: 'word' },
  },
  'store.unavailable': {
    level: 'error',
    audit: false,
    when: 'The shared store cannot be reached.',
    fields: { operation: 'word', reason: 'word' },
  },
  'store.available': { level: 'info', audit: false, when: 'The shared store is back.', fields: {} },
  'internal.failed': {
    level: 'error',
    audit: false,
    when: 'Something unexpected happened.',
    fields: { ...request, where: 'word', error_name: 'word' },
  },
} as const satisfies Record<string, EventRow>

/** An event of the table. */
export type EventName = keyof typeof eventTable

type Value<K> = K extends 'flag' ? boolean : K extends 'count' | 'seconds' | 'milliseconds' ? number : string

/** The fields of one event, each optional: what is not known is left out. */
export type EventFields<N extends EventName> = {
  readonly [F in keyof (typeof eventTable)[N]['fields']]?: Value<(typeof eventTable)[N]['fields'][F]> | undefined
}

/** Takes everything worth reporting; must never throw and never wait. */
export interface Observe {
  emit<N extends EventName>(name: N, fields: EventFields<N>): void
}
