import { z } from 'zod'
import { milliseconds, pagePath, parameterName, scope, seconds } from './values.ts'

/** Those of OpenID Connect for editors to offer; authorization servers have others of their own. */
const authorizationParameter = z.union([
  z.enum([
    'scope',
    'prompt',
    'login_hint',
    'ui_locales',
    'acr_values',
    'max_age',
    'claims',
    'claims_locales',
    'display',
    'id_token_hint',
  ]),
  parameterName,
])

/** The `login` section. */
export const loginSettings = z.strictObject({
  redirect_path: pagePath.default('/callback').meta({
    description:
      'Page of the SPA to which the authorization server returns; behind page_origin or public_origin it is the redirect URI.',
  }),
  scope: scope
    .default('openid')
    .meta({ description: 'Scope of every sign-in, in one text with spaces between its tokens; openid is required.' }),
  optional_scope: z
    .string()
    .regex(/^[\x20\x21\x23-\x5b\x5d-\x7e]*$/, { message: 'must be scope tokens separated by spaces' })
    .default('')
    .meta({ description: 'Further scope tokens that the SPA may ask for, with spaces between them.' }),
  allowed_parameters: z
    .array(authorizationParameter)
    .default(['scope', 'prompt', 'login_hint', 'ui_locales', 'acr_values', 'max_age', 'claims'])
    .meta({
      description:
        'Authorization parameters that the SPA may send to POST /login/start; add those of your server, such as domain_hint or kc_idp_hint.',
    }),
  extra_parameters: z.record(z.string(), z.string()).default({}).meta({
    description:
      'Fixed parameters of every authorization request, which the SPA cannot change but may repeat; acr_values, max_age and an essential acr of claims are checked in the ID token.',
  }),
  default_return_to: pagePath.default('/').meta({ description: 'Where a sign-in ends if return_to was not sent.' }),
  resource: z
    .array(z.string())
    .default([])
    .meta({ description: 'Resource indicators sent in every request (RFC 8707 §2).' }),
  authorization_details: z
    .array(
      z.looseObject({
        type: z.string().meta({
          description: 'Type of the detail, as the authorization server knows it.',
          examples: ['account_information'],
        }),
      }),
    )
    .default([])
    .meta({
      description: 'Rich authorization details sent in every request (RFC 9396 §2).',
    }),
  pushed_authorization_requests: z.enum(['auto', 'always', 'never']).default('auto').meta({
    description: 'PAR (RFC 9126): auto uses it whenever the metadata names the endpoint.',
  }),
  signed_request_object: z.boolean().default(false).meta({
    description: 'Sends the request as a signed object (JAR, RFC 9101); needs private_key_jwt.',
  }),
  response_mode: z
    .enum(['query', 'jwt'])
    .default('query')
    .meta({ description: 'jwt asks for a signed response (JARM).' }),
  attempt_seconds: seconds.positive().default(600).meta({ description: 'How long one attempt to sign in may take.' }),
  max_attempts: z.number().int().min(1).max(10).default(5).meta({
    description: 'Attempts that may be open at the same time in one browser; beyond that, the oldest is dropped.',
  }),
  navigation: z
    .strictObject({
      enabled: z.boolean().default(false).meta({
        description:
          'Serves GET /login, GET|POST /callback and the sign-out form for apps without the browser client; register /callback below agent.path on the public origin as a redirect URI.',
      }),
      response_mode: z.enum(['query', 'form_post']).default('query').meta({
        description: 'How the response reaches /callback; form_post makes the login cookie SameSite=None.',
      }),
    })
    .prefault({})
    .meta({ description: 'Sign-in by plain links and forms, for apps without the browser client.' }),
  claims: z
    .array(z.string())
    .default([
      'sub',
      'name',
      'given_name',
      'family_name',
      'preferred_username',
      'nickname',
      'email',
      'email_verified',
      'picture',
      'locale',
      'zoneinfo',
      'acr',
      'amr',
      'auth_time',
    ])
    .meta({ description: 'ID-token claims that the SPA may see; sub is required.' }),
})

/** The `logout` section. */
export const logoutSettings = z.strictObject({
  return_path: pagePath
    .default('/')
    .meta({ description: 'Page of the SPA to which the authorization server returns after sign-out.' }),
  revoke: z.boolean().default(true).meta({
    description: 'Revokes the tokens at sign-out, and those of sign-ins that are refused (RFC 7009).',
  }),
  revocation_timeout_ms: milliseconds
    .default(2500)
    .meta({ description: 'Longest time to wait for the revocation; then sign-out continues without it.' }),
  clear_site_data: z.boolean().default(false).meta({
    description: 'Sends Clear-Site-Data: "cache", "storage" with the answer to a sign-out.',
  }),
  backchannel: z.boolean().default(false).meta({
    description:
      'Accepts OpenID Connect back-channel logout tokens at /backchannel-logout below agent.path; several processes need store.kind: valkey.',
  }),
  require_typed_logout_token: z
    .boolean()
    .default(true)
    .meta({ description: 'Requires typ logout+jwt (OpenID Connect Back-Channel Logout §2.4).' }),
})
