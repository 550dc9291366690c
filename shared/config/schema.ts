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
  authorization_server: authorizationServerSettings,
  client: clientSettings,
  login: loginSettings.prefault({}),
  logout: logoutSettings.prefault({}),
  session: sessionSettings.prefault({}),
  cookies: cookieSettings.prefault({}),
  keys: keySettings,
  cors: corsSettings.prefault({}),
  csrf: csrfSettings.prefault({}),
  agent: agentSettings.prefault({}),
  proxy: proxySettings.prefault({}),
  store: storeSettings.prefault({ kind: 'memory' }),
  operations: operationsSettings.prefault({}),
  observability: observabilitySettings.prefault({}),
  insecure_allow_http: z.boolean().default(false).meta({
    description:
      'Allows http: for the public origin and the authorization server; refused unless the public origin is localhost.',
  }),
})

/** The settings file after its checks, as YAML spells it. */
export type SettingsFile = z.output<typeof schema>

/** The settings as the code sees them: camelCase, defaults filled in, secrets wrapped. */
export type Config = CamelCased<SettingsFile>
export type Route = Config['proxy']['routes'][number]
export type CredentialSetting = Route['credential']
