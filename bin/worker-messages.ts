import type { Applied, SettingsInForce } from './follow-settings.ts'

/** What a worker tells its primary. */
export type Told =
  | { readonly kind: 'ready'; readonly port: number }
  | ({ readonly kind: 'applied' } & Applied)
  | { readonly kind: 'state'; readonly reasons: readonly string[] }
  | { readonly kind: 'metrics'; readonly snapshot: object }
  | { readonly kind: 'pong' }

/** What a primary asks of its workers; the first of it is `start`. */
export type Asked =
  | ({ readonly kind: 'start' } & SettingsInForce)
  | { readonly kind: 'measure' }
  | { readonly kind: 'ping' }
  | { readonly kind: 'reload' }
  | { readonly kind: 'retire' }
  | { readonly kind: 'stop'; readonly signal: string }
