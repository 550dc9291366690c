import type { Config } from '../../shared/config/schema.ts'
import { TokenHandlerError } from '../../shared/errors.ts'
import { rememberByName } from '../../shared/http/name-memory.ts'
import { overridingNames } from '../forward/request-headers.ts'

type Gateway = Exclude<Config['proxy']['forwardAuth']['gateway'], 'off'>

/** Where one kind of gateway writes what it was asked; each asks in its own name and describes the original request. */
export interface GatewayDialect {
  readonly method: FieldName | 'of_the_question'
  readonly host: FieldName
  /** Path and query of the original request, byte for byte; or they follow the path at which we are asked. */
  readonly target: FieldName | 'behind_the_path'
  /** False for gateways that know only 401 and 403, and take every other refusal for a failure of ours. */
  readonly passesEveryStatus: boolean
}

/** A header name in lower case. */
type FieldName = 'host' | `x-${string}`

const original: GatewayDialect = {
  method: 'x-original-method',
  host: 'x-original-host',
  target: 'x-original-uri',
  passesEveryStatus: true,
}
const forwarded: GatewayDialect = {
  method: 'x-forwarded-method',
  host: 'x-forwarded-host',
  target: 'x-forwarded-uri',
  passesEveryStatus: true,
}

/** Every gateway whose questions are understood; the recipes are in `deploy/`. */
export const gatewayDialects: Readonly<Record<Gateway, GatewayDialect>> = {
  nginx: { ...original, passesEveryStatus: false },
  apache: original,
  haproxy: original,
  traefik: forwarded,
  caddy: forwarded,
  envoy: { method: 'of_the_question', host: 'host', target: 'behind_the_path', passesEveryStatus: true },
}

/** The question of a gateway as it stood on the wire. */
export interface GatewayQuestion {
  readonly method: string
  readonly target: string
  readonly rawHeaders: readonly string[]
}

/** The request that the gateway holds, in the form in which our own server would have seen it. */
export interface OriginalRequest {
  readonly method: string
  readonly target: string
  readonly rawHeaders: readonly string[]
  /** True when the browser asks for a WebSocket. */
  readonly upgrade: boolean
  /** What the gateway shows to prove that the question is its own. */
  readonly secret: string | undefined
}

/** The header in which a gateway shows the secret that only it knows. */
const secretField = 'token-handler-gateway'

/** Fields of the question itself, which say nothing about the original request. */
const ownToGateway =
  /^(?:host|connection|upgrade|content-length|transfer-encoding|te|trailer|expect|keep-alive|token-handler-gateway|proxy-.*|x-original-.*|x-forwarded-(?!for$).*)$/

/**
 * The reverse proxy takes these away; here it is the gateway that forwards, so whoever sends them is refused.
 *
 * `X-Original-Url`, which some APIs follow as well, is missing: gateways write it into their own questions (the Ingress
 * of nginx does). The recipes take the browser's away.
 */
const overriding: ReadonlySet<string> = new Set(overridingNames)

/** What to do with a header, by its name. */
interface Role {
  readonly name: string
  /** Part of the original request. */
  readonly passes: boolean
  readonly overrides: boolean
  /** Its value counts for the question, so it must be there once. */
  readonly counts: boolean
}

/**
 * Creates the reader of questions in a dialect at `path`: it finds the original request in the headers of the dialect,
 * and takes all others as the browser sent them.
 *
 * The reader throws `invalid_request` when one of the dialect's headers is missing, empty or there twice (J12), and for
 * a question that brings a body, because no decision may depend on one (J13). It throws `ambiguous_request` for a
 * browser's header that would make something else of the request.
 */
export function createQuestionReader(
  path: string,
  dialect: GatewayDialect,
): (question: GatewayQuestion) => OriginalRequest {
  const counting = new Set<string>([
    dialect.method,
    dialect.host,
    dialect.target,
    secretField,
    'content-length',
    'transfer-encoding',
    'sec-websocket-key',
    'upgrade',
  ])
  const roleOf = rememberByName((spelling): Role => {
    const name = spelling.toLowerCase()
    return {
      name,
      passes: !ownToGateway.test(name),
      // CGI-style readers see one name in `X_Http_Method` and `X-Http-Method` (H02).
      overrides: overriding.has(name.replace(/[^a-z0-9]/g, '-')),
      counts: counting.has(name),
    }
  })

  return ({ method, target, rawHeaders }) => {
    const values = new Map<string, string>()
    const passed = ['host', '']
    for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
      const { name, passes, overrides, counts } = roleOf(rawHeaders[index] ?? '')
      const value = rawHeaders[index + 1] ?? ''
      if (overrides) throw new TokenHandlerError('ambiguous_request', { detail: { check: 'override' } })
      if (passes) passed.push(name, value)
      if (!counts) continue
      if (values.has(name)) throw invalid(name)
      values.set(name, value)
    }
    if (values.has('transfer-encoding') || (values.get('content-length') ?? '0') !== '0') throw invalid('body')
    if (dialect.method !== 'of_the_question' && method !== 'GET') throw invalid('method')
    passed[1] = present(values, dialect.host)
    return {
      method: dialect.method === 'of_the_question' ? method : present(values, dialect.method),
      target: originalTarget(target, values, path, dialect),
      rawHeaders: passed,
      upgrade: values.has('sec-websocket-key') || values.has('upgrade'),
      secret: values.get(secretField),
    }
  }
}

function originalTarget(
  questionTarget: string,
  values: ReadonlyMap<string, string>,
  path: string,
  { target }: GatewayDialect,
): string {
  if (target !== 'behind_the_path') {
    // A browser's empty query stays behind in Caddy's question.
    if (questionTarget !== path && questionTarget !== `${path}?`) throw invalid('target')
    return present(values, target)
  }
  if (!questionTarget.startsWith(`${path}/`)) throw invalid('target')
  return questionTarget.slice(path.length)
}

function present(values: ReadonlyMap<string, string>, name: string): string {
  const value = values.get(name) ?? ''
  if (value === '') throw invalid(name)
  return value
}

function invalid(check: string): TokenHandlerError {
  return new TokenHandlerError('invalid_request', { detail: { check } })
}
