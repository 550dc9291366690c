import { z } from 'zod'
import type { CamelCased } from './camel-case.ts'
import { agentSettings, corsSettings, csrfSettings } from './agent.ts'
import { authorizationServerSettings, clientSettings } from './authorization-server.ts'
import { cookieSettings, keySettings, sessionSettings } from './session.ts'
import { loginSettings, logoutSettings } from './login.ts'
import { observabilitySettings, operationsSettings, storeSettings } from './operations.ts'
import { proxySettings } from './proxy.ts'
import { origin } from './values.ts'

/** Every setting there is; the reference page, the JSON Schema and the example file are made from this object. */
export const schema = z.strictObject({
  public_origin: origin.meta({
    description: 'The origin that browsers see: scheme, host and port, no path.',
    examples: ['https://www.example.com'],
  }),
  page_origin: origin.optional().meta({
    description:
      'Origin of the pages of the SPA where agent and proxy are on a sibling host; also list it under cors.origins.',
    examples: ['https://app.example.com'],
  }),
  authorization_server: authorizationServerSettings.meta({
    description: 'The authorization server (OpenID Provider) at which users sign in.',
  }),
  client: clientSettings.meta({
    description: 'Who this application is at the authorization server, and how it proves that.',
  }),
  login: loginSettings.prefault({}).meta({ description: 'What is asked for when a user signs in.' }),
  logout: logoutSettings.prefault({}).meta({ description: 'What happens when a user signs out, here or elsewhere.' }),
  session: sessionSettings.prefault({}).meta({ description: 'How long a session lives.' }),
  cookies: cookieSettings.prefault({}).meta({ description: 'The sealed cookies that hold the tokens.' }),
  keys: keySettings.meta({ description: 'The keys that seal the cookies.' }),
  cors: corsSettings.prefault({}).meta({ description: 'SPAs on sibling hosts of the same site.' }),
  csrf: csrfSettings.prefault({}).meta({ description: 'A further check against forged requests.' }),
  agent: agentSettings.prefault({}).meta({ description: 'The OAuth agent: signs users in and out.' }),
  proxy: proxySettings
    .prefault({})
    .meta({ description: 'The OAuth proxy: lets API calls through with the right credential.' }),
  store: storeSettings.prefault({ kind: 'memory' }).meta({
    description:
      'What replicas share: refresh locks, ended sessions, rate limits. memory serves one process; valkey serves many.',
  }),
  operations: operationsSettings.prefault({}).meta({ description: 'Processes, ports and shutdown.' }),
  observability: observabilitySettings.prefault({}).meta({ description: 'Logs, audit stream, metrics and traces.' }),
  insecure_allow_http: z.boolean().default(false).meta({
    description:
      'Allows http: for the public origin and the authorization server; refused unless the public origin is localhost.',
  }),
})

/** The settings file after its checks, as YAML spells it. */
export type SettingsFile = z.output<typeof schema>

/** The settings as the code sees them: camelCase, defaults filled in, secrets wrapped. */
export type Config = CamelCased<SettingsFile>
/** One route of the proxy. */
export type Route = Config['proxy']['routes'][number]
/** The `credential` section of a route. */
export type CredentialSetting = Route['credential']
