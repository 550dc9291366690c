import type { Config } from '../../shared/config/schema.ts'
import { TokenHandlerError } from '../../shared/errors.ts'

type Gateway = Exclude<Config['proxy']['forwardAuth']['gateway'], 'off'>

/** Where one kind of gateway writes what it was asked; each of them asks in its own name and tells of the original. */
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
}

/** Fields of the question itself, which say nothing about the original request. */
const ownToGateway =
  /^(?:host|connection|upgrade|content-length|transfer-encoding|te|trailer|expect|keep-alive|proxy-.*|x-original-.*|x-forwarded-(?!for$).*)$/

/**
 * Reads a question: the original request out of the headers of the dialect, all others as the browser sent them.
 *
 * Throws `invalid_request` when one of the dialect's headers is missing, empty or there twice (J12), and for a question
 * that brings a body, because no decision may depend on one (J13).
 */
export function parseQuestion(question: GatewayQuestion, path: string, dialect: GatewayDialect): OriginalRequest {
  const values = new Map<string, string[]>()
  const rest: string[] = []
  for (let index = 0; index + 1 < question.rawHeaders.length; index += 2) {
    const name = question.rawHeaders[index] ?? ''
    const value = question.rawHeaders[index + 1] ?? ''
    const lower = name.toLowerCase()
    values.set(lower, [...(values.get(lower) ?? []), value])
    if (!ownToGateway.test(lower)) rest.push(name, value)
  }
  checkNoBody(values)
  const method = dialect.method === 'of_the_question' ? question.method : single(values, dialect.method)
  if (dialect.method !== 'of_the_question' && question.method !== 'GET') throw invalid('method')
  const host = single(values, dialect.host)
  const target = originalTarget(question, values, path, dialect)
  const upgrade = values.has('sec-websocket-key') || values.has('upgrade')
  return { method, target, rawHeaders: ['host', host, ...rest], upgrade }
}

function originalTarget(
  question: GatewayQuestion,
  values: ReadonlyMap<string, readonly string[]>,
  path: string,
  { target }: GatewayDialect,
): string {
  if (target !== 'behind_the_path') {
    // A browser's empty query stays behind in Caddy's question.
    if (question.target !== path && question.target !== `${path}?`) throw invalid('target')
    return single(values, target)
  }
  if (!question.target.startsWith(`${path}/`)) throw invalid('target')
  return question.target.slice(path.length)
}

function checkNoBody(values: ReadonlyMap<string, readonly string[]>): void {
  const lengths = values.get('content-length') ?? []
  if (values.has('transfer-encoding') || lengths.some((length) => length !== '0')) throw invalid('body')
}

function single(values: ReadonlyMap<string, readonly string[]>, name: string): string {
  const [value = '', ...more] = values.get(name) ?? []
  if (value === '' || more.length > 0) throw invalid(name)
  return value
}

function invalid(check: string): TokenHandlerError {
  return new TokenHandlerError('invalid_request', { detail: { check } })
}
