import type { Person } from './topology/browser.ts'

/** The realm of the interop tests, in the form that Keycloak imports. */
export interface RealmOptions {
  readonly publicOrigin: string
  /** Where the application runs whose tokens are bound to a key. */
  readonly boundOrigin: string
  readonly clientSecret: string
  readonly people: readonly Person[]
}

export const passwordLevel = 'urn:example:pwd'
export const secondLevel = 'urn:example:mfa'
/** The client that stands for an API; token exchange narrows tokens to it. */
export const ordersApi = 'orders-api'

/** Describes a realm with rotation, reuse detection, an API audience, token exchange and two levels of authentication. */
export function keycloakRealm({ publicOrigin, boundOrigin, clientSecret, people }: RealmOptions): object {
  return {
    realm: 'example',
    enabled: true,
    sslRequired: 'none',
    accessTokenLifespan: 60,
    revokeRefreshToken: true,
    refreshTokenMaxReuse: 0,
    attributes: { 'acr.loa.map': JSON.stringify({ [passwordLevel]: 1, [secondLevel]: 2 }) },
    users: people.map(({ subject, username, password }) => ({
      id: subject,
      username,
      enabled: true,
      emailVerified: true,
      email: `${username}@example.com`,
      firstName: username,
      lastName: 'Example',
      credentials: [{ type: 'password', value: password, temporary: false }],
    })),
    clients: [
      application('example-app', publicOrigin, clientSecret),
      application('bound-app', boundOrigin, clientSecret, { 'dpop.bound.access.tokens': 'true' }),
      { clientId: ordersApi, standardFlowEnabled: false },
      { clientId: 'payments-api', standardFlowEnabled: false },
    ],
    browserFlow: 'browser with levels',
    authenticationFlows: [
      flow('browser with levels', true, [
        { authenticator: 'auth-cookie', requirement: 'ALTERNATIVE', priority: 10 },
        { flowAlias: 'forms', requirement: 'ALTERNATIVE', priority: 20 },
      ]),
      flow('forms', false, [
        { flowAlias: 'first level', requirement: 'CONDITIONAL', priority: 10 },
        { flowAlias: 'second level', requirement: 'CONDITIONAL', priority: 20 },
      ]),
      flow('first level', false, [
        { ...levelCondition, authenticatorConfig: 'level 1', priority: 10 },
        { authenticator: 'auth-username-password-form', requirement: 'REQUIRED', priority: 20 },
      ]),
      // A second look at the password stands for a second factor: what counts here is the level.
      flow('second level', false, [
        { ...levelCondition, authenticatorConfig: 'level 2', priority: 10 },
        { authenticator: 'auth-password-form', requirement: 'REQUIRED', priority: 20 },
      ]),
    ],
    authenticatorConfig: [level(1, 36_000), level(2, 0)],
  }
}

function application(
  clientId: string,
  publicOrigin: string,
  secret: string,
  attributes: Readonly<Record<string, string>> = {},
): object {
  return {
    clientId,
    secret,
    publicClient: false,
    standardFlowEnabled: true,
    directAccessGrantsEnabled: false,
    serviceAccountsEnabled: true,
    redirectUris: [`${publicOrigin}/callback`],
    attributes: {
      'pkce.code.challenge.method': 'S256',
      'post.logout.redirect.uris': `${publicOrigin}/`,
      'backchannel.logout.url': `${publicOrigin}/oauth-agent/backchannel-logout`,
      'backchannel.logout.session.required': 'true',
      'standard.token.exchange.enabled': 'true',
      ...attributes,
    },
    protocolMappers: [audienceOf(ordersApi), audienceOf('payments-api')],
  }
}

const levelCondition = { authenticator: 'conditional-level-of-authentication', requirement: 'REQUIRED' }

function level(loa: number, maxAgeSeconds: number): object {
  return {
    alias: `level ${loa}`,
    config: { 'loa-condition-level': String(loa), 'loa-max-age': String(maxAgeSeconds) },
  }
}

function flow(alias: string, topLevel: boolean, executions: readonly object[]): object {
  return {
    alias,
    description: '',
    providerId: 'basic-flow',
    topLevel,
    builtIn: false,
    authenticationExecutions: executions.map((execution) => ({
      authenticatorFlow: 'flowAlias' in execution,
      userSetupAllowed: false,
      ...execution,
    })),
  }
}

function audienceOf(clientId: string): object {
  return {
    name: `audience ${clientId}`,
    protocol: 'openid-connect',
    protocolMapper: 'oidc-audience-mapper',
    config: { 'included.client.audience': clientId, 'access.token.claim': 'true', 'id.token.claim': 'false' },
  }
}
