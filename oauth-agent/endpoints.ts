import type { Config } from '../shared/config/schema.ts'
import type { Demands } from './admission.ts'
import { createBackchannelLogoutEndpoint } from './routes/backchannel-logout.ts'
import { createFormCallback, createQueryCallback, createStrayCallback } from './routes/callback.ts'
import { createJwksEndpoint } from './routes/jwks.ts'
import { createLoginEnd } from './routes/login-end.ts'
import { createLoginPage } from './routes/login-page.ts'
import { createLoginStart } from './routes/login-start.ts'
import { createLogoutEndpoint } from './routes/logout.ts'
import { createLogoutForm, createLogoutPage, signOutPath } from './routes/logout-page.ts'
import { createRefreshEndpoint } from './routes/refresh.ts'
import { createSessionEndpoint } from './routes/session.ts'
import { createUserinfoEndpoint } from './routes/userinfo.ts'
import type { Endpoint, EndpointParts } from './routes/endpoint.ts'

/** One row of the endpoint table. */
export interface Row extends Demands {
  readonly method: 'GET' | 'POST'
  readonly path: string
  /** Whether the settings switch it on; always, if absent. */
  readonly isOn?: (config: Config) => boolean
  readonly create: (parts: EndpointParts) => Endpoint
  /** A GET for which Koa's own work would cost more than ours: answered without it, in the same steps. */
  readonly isHot?: true
}

const hasPublicKeys = ({ client }: Config) =>
  client.authentication === 'private_key_jwt' || client.authentication === 'self_signed_tls_client_auth'
const byNavigation = ({ login }: Config) => login.navigation.enabled
const byForm = ({ login }: Config) => login.navigation.enabled && login.navigation.responseMode === 'form_post'
const byQuery = (config: Config) => byNavigation(config) && !byForm(config)

const page = { caller: 'page' } as const
const open = { caller: 'server', limit: 'none', csrf: false } as const
const tab = { caller: 'navigation', csrf: false, isOn: byNavigation } as const
const back = { caller: 'return', limit: 'login', csrf: false } as const

/** Every endpoint of the agent, and what each demands. */
export const endpoints: readonly Row[] = [
  { ...page, method: 'POST', path: '/login/start', limit: 'login', csrf: true, create: createLoginStart },
  // The page that comes back knows no CSRF token yet; the login cookie binds the response to its browser.
  { ...page, method: 'POST', path: '/login/end', limit: 'login', csrf: false, create: createLoginEnd },
  {
    ...page,
    method: 'GET',
    path: '/session',
    limit: 'session',
    csrf: false,
    create: createSessionEndpoint,
    isHot: true,
  },
  { ...page, method: 'GET', path: '/userinfo', limit: 'session', csrf: false, create: createUserinfoEndpoint },
  { ...page, method: 'POST', path: '/refresh', limit: 'refresh', csrf: true, create: createRefreshEndpoint },
  { ...page, method: 'POST', path: '/logout', limit: 'session', csrf: true, create: createLogoutEndpoint },
  { ...open, method: 'POST', path: '/backchannel-logout', create: createBackchannelLogoutEndpoint },
  { ...open, method: 'GET', path: '/jwks', isOn: hasPublicKeys, create: createJwksEndpoint },
  { ...tab, method: 'GET', path: '/login', limit: 'login', create: createLoginPage },
  { ...back, method: 'GET', path: '/callback', isOn: byQuery, create: createQueryCallback },
  { ...back, method: 'POST', path: '/callback', isOn: byForm, create: createFormCallback },
  { ...back, method: 'GET', path: '/callback', isOn: byForm, create: createStrayCallback },
  { ...tab, method: 'GET', path: '/logout', limit: 'session', create: createLogoutPage },
  { ...tab, caller: 'form', method: 'POST', path: signOutPath, limit: 'session', csrf: true, create: createLogoutForm },
]
