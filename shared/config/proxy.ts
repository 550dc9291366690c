import { z } from 'zod'
import {
  contextClass,
  filePath,
  headerName,
  headerSecret,
  httpsUrl,
  listenToGateway,
  milliseconds,
  origin,
  ownPath,
  pathSetting,
  scope,
  scopeToken,
  seconds,
  timerSeconds,
} from './values.ts'

const audience = z.string().min(1).optional().meta({ description: 'Audience to request (RFC 8693 §2.1).' })
const resource = z.string().optional().meta({ description: 'Resource indicator to request (RFC 8707 §2).' })
const tokenScope = scope
  .optional()
  .meta({ description: 'Scope to request, in one text with spaces between its tokens.' })

const credential = z
  .discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('user').meta({ description: "The user's access token." }) }),
    z.strictObject({
      kind: z.literal('exchange').meta({
        description: "The user's token exchanged for one that is meant for this API (RFC 8693).",
      }),
      audience,
      resource,
      scope: tokenScope,
      requested_token_type: z.string().min(1).optional().meta({
        description: 'Token type to request (RFC 8693 §3); if absent, the authorization server chooses.',
      }),
    }),
    z.strictObject({
      kind: z.literal('client_credentials').meta({ description: "The application's own token (RFC 6749 §4.4)." }),
      scope: tokenScope,
      resource,
      audience,
    }),
    z.strictObject({
      kind: z.literal('api_key').meta({ description: 'A fixed header, for APIs of third parties.' }),
      header: headerName.default('X-Api-Key').meta({ description: 'Name of the header.' }),
      value: headerSecret.meta({ description: 'Value of the header; better kept in a file.' }),
      prefix: z
        .string()
        .refine((text) => /^[\x20-\x7e]*$/.test(text), { message: 'must be printable ASCII' })
        .default('')
        .meta({ description: 'Text before the value, such as "ApiKey ".' }),
    }),
    z.strictObject({
      kind: z.literal('none').meta({ description: 'No credential: the API does not learn who calls.' }),
    }),
  ])
  .meta({ description: 'What the API gets instead of the cookie.' })

const claimRule = z.union([z.string(), z.number(), z.boolean(), z.array(z.union([z.string(), z.number()])).min(1)])

/** A user who comes straight from a sign-in meets it; below that, every call would ask for the next one. */
const shortestMaxAgeSeconds = 10

const requirement = z.strictObject({
  scope: z.array(scopeToken).default([]).meta({ description: 'Scopes that must all have been granted.' }),
  acr: z
    .array(contextClass)
    .default([])
    .meta({ description: 'Authentication context classes, one of which the session must have.' }),
  max_age: seconds
    .min(shortestMaxAgeSeconds)
    .optional()
    .meta({
      description: `The user must have authenticated within this many seconds, at least ${shortestMaxAgeSeconds}: the way back from the authorization server takes some of them.`,
    }),
  claims: z
    .record(z.string(), claimRule)
    .default({})
    .meta({ description: 'Claims that the access token (a JWT) must hold.' }),
})

/**
 * True for a URL without query and fragment, also an empty one, in the one spelling that APIs compare (RFC 9449 §4.3,
 * RFC 3986 §6.2): it is put into proofs as it stands. Text that is no URL is not for this rule to say.
 */
function isBaseUrl(text: string): boolean {
  const isUsual = !URL.canParse(text) || new URL(text).href.replace(/\/$/, '') === text
  return isUsual && !/[?@]|[/#]$/.test(text)
}

/** As undici, which takes no longer time from an API either. */
const maxKeepAliveSeconds = 600

/** One entry of `proxy.routes`. */
export const routeSettings = z.strictObject({
  // One spelling for each pattern, so that two that are alike are found; a segment that ends in a dot never passes the gate.
  path: pathSetting(
    /^\/$|^(?=\/)(?:\/(?:[A-Za-z0-9._~-]*[A-Za-z0-9_~-]|\*))*(?:\/\*\*)?$/,
    'must be a path such as /api/orders, /api/*/lines or /api/**, without query or escapes; no segment ends in a dot',
  ).meta({
    description: 'Exact path; /* stands for one segment, a final /** for the path itself and all below it.',
    examples: ['/api/**'],
  }),
  methods: z
    .array(z.enum(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']))
    .min(1)
    .default(['GET', 'HEAD'])
    .meta({ description: 'Allowed methods; others get 405.' }),
  upstream: z.union([httpsUrl, z.array(httpsUrl).min(1)]).meta({
    description: 'Origin of the API, or several origins that take turns.',
    examples: ['https://api.internal.example.com'],
  }),
  strip_prefix: ownPath.optional().meta({ description: 'Removed from the beginning of the path before forwarding.' }),
  add_prefix: ownPath.optional().meta({ description: 'Added to the beginning of the path before forwarding.' }),
  credential: credential.default({ kind: 'user' }),
  dpop_base_url: httpsUrl
    .refine(isBaseUrl, {
      message:
        'must be scheme, host and, if need be, a path without a slash at its end, such as https://api.example.com, in the usual spelling: host in small letters, no default port, no spaces or dot segments',
    })
    .optional()
    .meta({
      description:
        'What stands before the path in the URL that proofs name (htu, RFC 9449 §4.2), where a further gateway changes host or path on the way to this API; the origin of the upstream if absent.',
      examples: ['https://api.example.com'],
    }),
  anonymous: z
    .enum(['deny', 'client_credentials', 'none'])
    .default('deny')
    .meta({ description: 'What a visitor without a session gets.' }),
  anonymous_token: z
    .strictObject({
      audience,
      resource,
      scope: tokenScope,
    })
    .prefault({})
    .meta({ description: 'What the token of anonymous: client_credentials is requested for.' }),
  require: requirement.prefault({}).meta({ description: 'What a session must have to be let through.' }),
  headerless: z
    .array(z.enum(['websocket', 'event_stream', 'download']))
    .default([])
    .meta({
      description:
        'Kinds of request that cannot carry token-handler-version and are admitted by exact Origin and Fetch Metadata instead.',
    }),
  websocket: z
    .boolean()
    .default(false)
    .meta({ description: 'Accepts WebSocket upgrades (also list websocket under headerless for browsers).' }),
  forward_cookies: z
    .array(z.string())
    .default([])
    .meta({ description: 'Names of other cookies that the API may see.' }),
  allow_set_cookie: z
    .array(z.string())
    .default([])
    .meta({ description: 'Names of cookies that the API may set; never one of ours.' }),
  redirect_origins: z.array(origin).default([]).meta({
    description:
      'Other origins to which the API may redirect the browser; its own redirects are mapped to public paths.',
  }),
  max_body_bytes: z.number().int().positive().default(10_485_760).meta({ description: 'Longest request body.' }),
  connect_timeout_ms: milliseconds
    .default(3000)
    .meta({ description: 'Longest time to wait for a connection to the API.' }),
  response_timeout_ms: milliseconds
    .default(30_000)
    .meta({ description: 'Longest time to wait for the head of the answer.' }),
  idle_timeout_ms: milliseconds.default(60_000).meta({
    description:
      'Longest silence within a body, at least 1. Calls that accept text/event-stream use stream_idle_timeout_ms.',
  }),
  stream_idle_timeout_ms: milliseconds.default(3_600_000).meta({
    description: 'Longest silence of a WebSocket, and within the answer to a call that accepts text/event-stream.',
  }),
  keep_alive_seconds: z.number().int().min(1).max(maxKeepAliveSeconds).default(4).meta({
    description:
      'How long an idle connection to the API is kept, if its answers do not name a time (Keep-Alive: timeout=); must be shorter than the API keeps it.',
  }),
  max_concurrent_requests: z
    .number()
    .int()
    .positive()
    .default(512)
    .meta({ description: 'Requests of this route that may be in progress at the same time; more get 503 at once.' }),
  max_concurrent_requests_per_session: z.number().int().positive().optional().meta({
    description:
      'How many of them one session may have; more get 429 at once. If absent 128, or half of max_concurrent_requests where that is less.',
  }),
  rate_limit: z
    .strictObject({
      requests: z
        .number()
        .int()
        .positive()
        .meta({ description: 'Requests allowed in the window.', examples: [100] }),
      window_seconds: timerSeconds.meta({ description: 'Length of the window.', examples: [60] }),
      by: z
        .enum(['session', 'address'])
        .default('session')
        .meta({ description: 'Whose requests are counted together; requests without a session count by address.' }),
    })
    .optional()
    .meta({ description: 'Limit of requests to this route; more get 429.' }),
  transport: z.enum(['tls', 'protected_network']).default('tls').meta({
    description:
      'protected_network states that a service mesh or the like protects the link, and allows http: (RFC 9700 §4.13).',
  }),
  ca_file: filePath.optional().meta({ description: 'PEM file of certificate authorities for this API.' }),
  client_certificate_file: filePath
    .optional()
    .meta({ description: 'PEM file with the certificate shown to this API.' }),
  client_private_key_file: filePath.optional().meta({ description: 'PEM file with the key of that certificate.' }),
})

/** The `proxy` section. */
export const proxySettings = z.strictObject({
  listen: listenToGateway('proxy')
    .prefault({})
    .meta({ description: 'Where the proxy listens; `serve` listens there, too.' }),
  routes: z
    .array(routeSettings)
    .default([])
    .meta({ description: 'The APIs; the most specific path wins, whatever the order.' }),
  forward_auth: z
    .strictObject({
      path: ownPath.default('/oauth-proxy/verify').meta({ description: 'Path at which gateways ask.' }),
      gateway: z
        .enum(['off', 'nginx', 'traefik', 'caddy', 'haproxy', 'envoy', 'apache'])
        .default('off')
        .meta({ description: 'Dialect of the gateway that asks.' }),
      peers: z.array(z.string()).default([]).meta({
        description:
          'CIDR ranges of the gateways, or `unix:` for those that connect through `listen.socket`; others are refused.',
      }),
      secret: headerSecret.optional().meta({
        description:
          'Secret of at least 16 characters that the gateway sends in token-handler-gateway; it keeps out browsers whose requests a gateway forwards to this path. Required if there is a gateway.',
      }),
      insecure_no_secret: z.boolean().default(false).meta({
        description: 'Answers every question from the peers; refused unless the public origin is on localhost.',
      }),
    })
    .prefault({})
    .meta({ description: 'Answers gateways that ask whether to let a request through.' }),
})
