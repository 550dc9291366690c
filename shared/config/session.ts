import { z } from 'zod'
import { filePath, parameterName, seconds } from './values.ts'

/** The `session` section. */
export const sessionSettings = z.strictObject({
  profile: z.enum(['custom', 'aal1', 'aal2', 'aal3']).default('custom').meta({
    description:
      'Named limits of NIST SP 800-63B-4: aal1 30 days, aal2 24 hours and 1 hour idle, aal3 12 hours and 15 minutes idle.',
  }),
  absolute_seconds: seconds
    .positive()
    .default(28_800)
    .meta({ description: 'A session ends after this time, whatever happens.' }),
  idle_seconds: seconds.positive().default(3600).meta({
    description:
      'A session ends after this time without activity; only a refresh tells of any, so without a refresh token it ends then in any case.',
  }),
  default_access_token_seconds: seconds.positive().default(300).meta({
    description: 'Lifetime assumed for an access token that came without a usable expires_in.',
  }),
  max_access_token_seconds: seconds
    .positive()
    .default(86_400)
    .meta({ description: 'Longest lifetime of an access token; a longer one is cut to this.' }),
  refresh_ahead_seconds: seconds.default(30).meta({
    description: 'refresh_in tells the client to refresh this long before the access token expires.',
  }),
  end_on_invalid_request: z.boolean().default(false).meta({
    description:
      'Takes 400 with invalid_request, or with an empty body, for the end of the session, as some servers answer to an expired refresh token instead of invalid_grant (RFC 6749 §5.2); not where the refresh carried allowed_refresh_parameters.',
  }),
  allowed_refresh_parameters: z
    .array(parameterName)
    .default([])
    .meta({
      description:
        'Parameters that the SPA may send to POST /refresh for the authorization server; scope can only ask for less.',
      examples: [['scope']],
    }),
})

/** The `cookies` section. */
export const cookieSettings = z.strictObject({
  prefix: z
    .string()
    .regex(/^[a-z0-9]{1,16}$/, { message: 'must be 1 to 16 lower-case letters and digits' })
    .default('th')
    .meta({ description: 'Part of every cookie name, so that several apps can share a host.' }),
  refresh_path: z.enum(['root', 'agent']).default('root').meta({
    description:
      'With agent, browsers send refresh and identity cookies to the agent only, under names with __Http- instead of __Host-Http-; a sibling host can then write these two, and so disturb a session.',
  }),
  max_total_bytes: z
    .number()
    .int()
    .min(2048)
    .max(14_336)
    .default(7168)
    .meta({ description: 'Largest total size of all session cookies.' }),
  id_token_hint: z.boolean().default(false).meta({
    description:
      'Keeps the ID token in its cookie, so that the authorization server need not ask the user at sign-out.',
  }),
  insecure_plain: z.boolean().default(false).meta({
    description:
      'Cookies without Secure and without a guarded name, for browsers that store no others on http://localhost (Safari); refused elsewhere.',
  }),
})

/** The `keys` section. */
export const keySettings = z.strictObject({
  file: filePath.meta({
    description: 'Key ring made by `token-handler keys generate`; read again when it changes.',
    examples: ['/run/secrets/token-handler-keys.json'],
  }),
})
