import { z } from 'zod'
import { Secret, secretMask } from '../secret.ts'
import { isSingleHost } from './local.ts'
import { listWord } from './parameter-values.ts'

/** Scheme, host and optional port in their serialised form (RFC 6454 §6.2), so that comparing strings compares origins. */
export const origin = z.string().refine(isOrigin, { error: ({ input }) => originExpectation(String(input)) })

/** The URL parser admits a host such as `*.example.com`, which no browser ever sends. */
function isOrigin(text: string): boolean {
  const isNamed = /^https?:\/\/(?:[\w.-]+|\[[\da-f:.]+\])(?::\d+)?$/.test(text)
  return isNamed && URL.canParse(text) && new URL(text).origin === text
}

/** What `text` lacks, where it is one step away from an origin; it is not quoted, since it may come from a variable. */
function originExpectation(text: string): string {
  if (text.includes('*')) return 'must be a single origin such as https://www.example.com and no pattern'
  if (isOrigin(text.toLowerCase())) return 'must be an origin in lower case, such as https://www.example.com'
  if (isOrigin(text.replace(/:(?:80|443)$/, ''))) {
    return 'must be an origin without the port that its scheme implies, such as https://www.example.com'
  }
  if (isOrigin(`https://${text}`)) return 'must be an origin with its scheme, such as https://www.example.com'
  return 'must be an origin such as https://www.example.com, without path or trailing slash'
}

const singleHost = { message: 'must name a single host, such as www.example.com, and no pattern' }

/** True also for what is no URL, which has a reason of its own. */
function isNoPattern(text: string): boolean {
  const hostname = URL.parse(text)?.hostname ?? ''
  return hostname === '' || isSingleHost(hostname)
}

/** The URL parser drops line breaks and the like, so that what is asked would differ from what was written. */
const noSpace = { message: 'must hold no spaces, line breaks or other control characters', abort: true }
/** True also for what is no URL, which has a reason of its own. */
const isWithoutSpace = (text: string): boolean => !URL.canParse(text) || !/[\x00-\x20\x7f]/.test(text)

/** An absolute URL; whether it may be http: is for the rules between settings to say. */
export const httpsUrl = z
  .string()
  .refine(isWithoutSpace, noSpace)
  .refine((text) => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol) && new URL(text).hash === '', {
    message: 'must be an absolute http(s) URL without a fragment',
  })
  .refine(isNoPattern, singleHost)

/** Where an HTTP proxy listens; a user and password in it would be shown wherever the address is. */
export const proxyOrigin = z
  .string()
  .refine((text) => /^https?:\/\/[^\s/?#@\\]+$/.test(text) && URL.canParse(text), {
    message: 'must be the address of a proxy such as http://proxy.example.com:3128, without path, user and password',
  })
  .refine(isNoPattern, singleHost)

/** An absolute path of our own: no dot segments, escapes, query or trailing slash, so that one reading is the only one. */
export const ownPath = pathSetting(
  /^(?:\/[A-Za-z0-9._~-]*[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+$/,
  'must be a path such as /oauth-agent, of letters, digits, ".", "_", "~" and "-"',
)

/** Text that is a path by `pattern`; a slash at its end is named where it is all that is wrong. */
export function pathSetting(pattern: RegExp, expectation: string): z.ZodString {
  return z.string().regex(pattern, {
    error({ input }) {
      const isSlashOnly = typeof input === 'string' && input.endsWith('/') && pattern.test(input.slice(0, -1))
      return isSlashOnly ? 'must be a path without a slash at its end' : expectation
    },
  })
}

/** A page of the SPA: as `ownPath`, also `/` and with a slash at its end, as the first page below a base path has it. */
export const pagePath = z
  .string()
  .regex(
    /^\/(?:[A-Za-z0-9._~-]*[A-Za-z0-9_~-][A-Za-z0-9._~-]*\/)*(?:[A-Za-z0-9._~-]*[A-Za-z0-9_~-][A-Za-z0-9._~-]*)?$/,
    'must be a path such as /, /app/ or /callback, of letters, digits, ".", "_", "~" and "-"',
  )

/** Browsers cut longer lifetimes of cookies to this (RFC 6265bis §5.5). */
export const longestCookieSeconds = 400 * 86_400

/** A whole number of seconds. */
export const seconds = z.number().int().nonnegative()
/** A whole number of milliseconds that a timer of Node can wait, which counts in 31 bits and rings at once beyond that. */
export const milliseconds = z.number().int().min(1).max(2_147_483_647)
/** Seconds for a timer; one fewer than fit, which Node adds to the time in which it keeps a connection. */
export const timerSeconds = seconds.min(1).max(2_147_482)

/** Settings that `config print` showed and somebody took for a file. */
const noMask = { message: `must be the secret itself, not the ${secretMask} that \`config print\` shows for it` }
const isNoMask = (text: string): boolean => text !== secretMask

/** Text that is wrapped at once, so that nothing prints it. */
export const secret = z
  .string()
  .min(1)
  .refine((text) => !/[\r\n]/.test(text), { message: 'must be a single line' })
  .refine(isNoMask, noMask)
  .transform((text) => new Secret(text))
  .meta({ secret: true })

/** A secret that becomes the value of a header, so it holds no space, line break or letter beyond ASCII. */
export const headerSecret = z
  .string()
  .regex(/^[\x21-\x7e]+$/, { message: 'must be printable ASCII without spaces' })
  .refine(isNoMask, noMask)
  .transform((text) => new Secret(text))
  .meta({ secret: true })

/** Scheme and credentials as a header carries them (RFC 9110 §11.4), wrapped at once. */
export const credentials = z
  .string()
  .regex(/^[A-Za-z][A-Za-z0-9-]* [\x21-\x7e]+(?: [\x21-\x7e]+)*$/, {
    message: 'must be a scheme and credentials, such as Basic and the Base64 form of user:password',
  })
  .transform((text) => new Secret(text))
  .meta({ secret: true })

/** Text on one line: what holds a line break was hardly meant, and cannot be written into the configuration of nginx. */
export const lineOfText = z
  .string()
  .min(1)
  .refine((text) => !/[\x00-\x1f\x7f]/.test(text), { message: 'must hold no line breaks or other control characters' })

/** A path of a file, taken from the folder of the settings file if it is relative. */
export const filePath = lineOfText.meta({ file: true })

/** RFC 6749 §3.3 scope tokens, space-separated. */
export const scope = z.string().regex(/^[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*$/, {
  message: 'must be scope tokens separated by single spaces',
})

/** One scope token (RFC 6749 §3.3). */
export const scopeToken = z.string().regex(listWord, {
  message: 'must be a single scope token of at most 256 ASCII characters, without spaces, quotes or backslashes',
})

/** One authentication context class; challenges and sign-ins name several with spaces between them (RFC 9470 §3). */
export const contextClass = z.string().regex(/^[^\s\x00-\x1f\x7f]{1,256}$/u, {
  message: 'must be a single value of at most 256 characters, without spaces',
})

/** A parameter of a request to the authorization server that a page may choose. */
export const parameterName = z.string().regex(/^[A-Za-z][A-Za-z0-9_.-]{0,63}$/, {
  message: 'must be the name of a parameter, of letters, digits, "_", "." and "-"',
})

/** The name of a header field, in any case. */
export const headerName = z
  .string()
  .regex(/^[A-Za-z][A-Za-z0-9-]*$/, { message: 'must be a header name of letters, digits and "-"' })

/** Where processes listen unless told otherwise. */
export const listenDefaults = { host: '127.0.0.1', ports: { agent: 8081, proxy: 8082, operations: 9090 } } as const

/** Address and port at which a process listens. */
export const listen = (of: keyof typeof listenDefaults.ports) =>
  z.strictObject({
    host: z.string().default(listenDefaults.host).meta({ description: 'Address to listen on.' }),
    port: z
      .number()
      .int()
      .min(0)
      .max(65535)
      .default(listenDefaults.ports[of])
      .meta({ description: 'Port to listen on; 0 takes a free one.' }),
  })

/** Address and port, with or without TLS, or a Unix socket for a gateway on the same machine. */
export const listenToGateway = (of: 'agent' | 'proxy') =>
  listen(of).extend({
    certificate_file: filePath.optional().meta({
      description:
        'PEM file with the certificate shown to gateways, followed by those between it and its authority. With it only TLS is spoken; needs private_key_file. Read again when it changes.',
      examples: [`/run/secrets/${of}-tls/tls.crt`],
    }),
    private_key_file: filePath.optional().meta({
      description: 'PEM file with the key of that certificate. Read again when it changes.',
      examples: [`/run/secrets/${of}-tls/tls.key`],
    }),
    client_ca_file: filePath.optional().meta({
      description:
        'PEM file of certificate authorities, one of which must have signed the certificate of whoever connects; others are refused in the TLS handshake. Read again when it changes.',
      examples: [`/run/secrets/${of}-tls/ca.crt`],
    }),
    socket: filePath.optional().meta({
      description:
        'Unix socket to listen on instead of host and port; its owner and group may connect. Also list `unix:` under operations.trusted_proxies.',
      examples: [`/run/token-handler/${of}.sock`],
    }),
  })

/** Stands for the address of whoever connects through a Unix socket, as in nginx. */
export const unixPeer = 'unix:'

/** Longest path of a Unix socket in bytes: what the shortest `sun_path` holds, which is that of macOS (104 with the NUL). */
export const maxSocketPathBytes = 103
