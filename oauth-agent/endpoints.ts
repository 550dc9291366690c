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
  /** Whether the settings switch it on. */
  readonly isOn: (config: Config) => boolean
  readonly create: (parts: EndpointParts) => Endpoint
  /** For navigations, whose failures are pages: the page below the agent's path by which to try again. */
  readonly again?: '/login' | '/logout'
  /** A GET for which Koa's own work would cost more than ours: answered without it, in the same steps. */
  readonly isHot?: true
}

const always = () => true
const hasPublicKeys = ({ client }: Config) =>
  client.authentication === 'private_key_jwt' || client.authentication === 'self_signed_tls_client_auth'
const byNavigation = ({ login }: Config) => login.navigation.enabled
const byForm = ({ login }: Config) => login.navigation.enabled && login.navigation.responseMode === 'form_post'
const byQuery = (config: Config) => byNavigation(config) && !byForm(config)

/** Every endpoint of the agent, and what each demands: a block is the whole policy of its endpoint. */
export const endpoints: readonly Row[] = [
  {
    method: 'POST',
    path: '/login/start',
    caller: 'page',
    limit: 'login',
    csrf: true,
    isOn: always,
    create: createLoginStart,
  },
  {
    method: 'POST',
    path: '/login/end',
    caller: 'page',
    limit: 'login',
    // The page that comes back knows no CSRF token yet; the login cookie binds the response to its browser.
    csrf: false,
    isOn: always,
    create: createLoginEnd,
  },
  {
    method: 'GET',
    path: '/session',
    caller: 'page',
    limit: 'session',
    csrf: false,
    isOn: always,
    create: createSessionEndpoint,
    isHot: true,
  },
  {
    method: 'GET',
    path: '/userinfo',
    caller: 'page',
    limit: 'session',
    csrf: false,
    isOn: always,
    create: createUserinfoEndpoint,
  },
  {
    method: 'POST',
    path: '/refresh',
    caller: 'page',
    limit: 'refresh',
    csrf: true,
    isOn: always,
    create: createRefreshEndpoint,
  },
  {
    method: 'POST',
    path: '/logout',
    caller: 'page',
    limit: 'session',
    csrf: true,
    isOn: always,
    create: createLogoutEndpoint,
  },
  {
    method: 'POST',
    path: '/backchannel-logout',
    caller: 'server',
    limit: 'none',
    csrf: false,
    isOn: always,
    create: createBackchannelLogoutEndpoint,
  },
  {
    method: 'GET',
    path: '/jwks',
    caller: 'server',
    limit: 'none',
    csrf: false,
    isOn: hasPublicKeys,
    create: createJwksEndpoint,
  },
  {
    method: 'GET',
    path: '/login',
    caller: 'navigation',
    limit: 'login',
    csrf: false,
    isOn: byNavigation,
    create: createLoginPage,
    again: '/login',
  },
  {
    method: 'GET',
    path: '/callback',
    caller: 'return',
    limit: 'login',
    csrf: false,
    isOn: byQuery,
    create: createQueryCallback,
    again: '/login',
  },
  {
    method: 'POST',
    path: '/callback',
    caller: 'return',
    limit: 'login',
    csrf: false,
    isOn: byForm,
    create: createFormCallback,
    again: '/login',
  },
  {
    method: 'GET',
    path: '/callback',
    caller: 'return',
    limit: 'login',
    csrf: false,
    isOn: byForm,
    create: createStrayCallback,
    again: '/login',
  },
  {
    method: 'GET',
    path: '/logout',
    caller: 'navigation',
    limit: 'session',
    csrf: false,
    isOn: byNavigation,
    create: createLogoutPage,
    again: '/logout',
  },
  {
    method: 'POST',
    path: signOutPath,
    caller: 'form',
    limit: 'session',
    csrf: true,
    isOn: byNavigation,
    create: createLogoutForm,
    again: '/logout',
  },
]
