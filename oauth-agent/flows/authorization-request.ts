import { isMaxAge, maxClaimsLength, parseClaimsRequest, parseWords } from '../../shared/config/parameter-values.ts'
import type { Config } from '../../shared/config/schema.ts'
import type { LoginContent } from '../../shared/cookies/session.ts'
import { type Parameters, checkParameterNames, checkParameterValue, notAllowed } from './parameters.ts'

/** The settings that shape an authorization request. */
export type AuthorizationRequestSettings = Pick<Config, 'login'>

/** What the SPA asks for beyond the settings; everything in it was checked. */
export interface AuthorizationWish {
  /** Scope of the request: the configured one and the optional tokens that were asked for. */
  readonly scope: string
  readonly prompt?: string
  readonly maxAge?: number
  readonly acrValues?: readonly string[]
  /** Levels of which `claims` demands one in the ID token (OpenID Connect Core §5.5.1.1). */
  readonly essentialAcr?: readonly string[]
  /** Parameters without a meaning to us, by their names in the authorization request. */
  readonly additionalParameters: ReadonlyMap<string, string>
}

/** Longest values where they are long. */
const maxLengths: Readonly<Record<string, number>> = { claims: maxClaimsLength, id_token_hint: 4096 }

/** Parameters whose effect shows in the ID token, where we look for it (OpenID Connect Core §3.1.3.7 steps 12, 13). */
const checkedOnReturn: ReadonlySet<string> = new Set(['acr_values', 'claims', 'max_age'])

const prompts: ReadonlySet<string> = new Set(['none', 'login', 'consent', 'select_account', 'create'])

/**
 * Reads the parameters of a login start.
 *
 * Only names on the allow-list pass, each once and within bounds, so that nothing of ours (redirect_uri, state,
 * code_challenge, request, …) can be replaced (C08), nor what the settings fix, which a page may only repeat: a step-up asks for what an API demands. A level or an age of authentication that
 * is fixed there is checked on return like one that was asked for. Throws `parameter_not_allowed`.
 */
export function parseAuthorizationWish(
  parameters: Parameters,
  settings: AuthorizationRequestSettings,
): AuthorizationWish {
  const { allowedParameters, extraParameters } = settings.login
  const fixed = Object.entries(extraParameters)
  const changed = new Set(fixed.flatMap(([name, value]) => (parameters.get(name) === value ? [] : [name])))
  checkParameterNames(parameters, new Set(allowedParameters.filter((name) => !changed.has(name))))
  const additionalParameters = new Map<string, string>()
  const read: { -readonly [K in 'prompt' | 'maxAge' | 'acrValues' | 'essentialAcr']?: AuthorizationWish[K] } = {}
  for (const [name, value] of [...fixed.filter(([name]) => checkedOnReturn.has(name)), ...parameters]) {
    checkParameterValue(name, value, maxLengths[name])
    if (name === 'prompt') read.prompt = parsePrompt(value)
    else if (name === 'max_age') read.maxAge = parseMaxAge(value)
    else if (name === 'acr_values') read.acrValues = parseTokens(value, name)
    else if (name === 'claims') {
      const essentialAcr = parseEssentialAcr(value)
      if (essentialAcr !== undefined) read.essentialAcr = essentialAcr
      additionalParameters.set(name, value)
    } else if (name !== 'scope') additionalParameters.set(name, value)
  }
  return { scope: parseScope(parameters.get('scope'), settings), additionalParameters, ...read }
}

/** The configured scope is always included; the SPA can only add what is listed as optional. */
function parseScope(asked: string | undefined, { login }: AuthorizationRequestSettings): string {
  const configured = login.scope.split(' ')
  if (asked === undefined) return login.scope
  const optional = new Set(login.optionalScope.split(' ').filter((token) => token !== ''))
  const added = parseTokens(asked, 'scope').filter((token) => !configured.includes(token))
  if (!added.every((token) => optional.has(token))) throw notAllowed('scope')
  return [...new Set([...configured, ...added])].join(' ')
}

function parseTokens(value: string, name: string): string[] {
  const tokens = parseWords(value)
  if (tokens === undefined) throw notAllowed(name)
  return tokens
}

/** OpenID Connect Core §3.1.2.1: none stands alone. */
function parsePrompt(value: string): string {
  const words = parseTokens(value, 'prompt')
  if (!words.every((word) => prompts.has(word))) throw notAllowed('prompt')
  if (words.includes('none') && words.length > 1) throw notAllowed('prompt')
  return value
}

function parseMaxAge(value: string): number {
  if (!isMaxAge(value)) throw notAllowed('max_age')
  return Number(value)
}

/** The server may leave a demand out like any other; whoever made it relies on our looking at the ID token. */
function parseEssentialAcr(value: string): readonly string[] | undefined {
  const claims = parseClaimsRequest(value)
  if (claims === undefined) throw notAllowed('claims')
  return claims.essentialAcr
}

/** Levels of which the ID token has to name one; one of both lists where there are two. */
export function demandedAcr({ acrValues, essentialAcr }: AuthorizationWish): readonly string[] | undefined {
  if (acrValues === undefined || essentialAcr === undefined) return acrValues ?? essentialAcr
  return acrValues.filter((level) => essentialAcr.includes(level))
}

/**
 * The parameters of the authorization request (OpenID Connect Core §3.1.2.1, RFC 7636 §4.3, RFC 8707 §2, RFC 9396 §2,
 * RFC 9449 §10).
 *
 * Ours are set last, so that no setting or wish can change them.
 */
export function authorizationParameters(
  wish: AuthorizationWish,
  attempt: LoginContent,
  codeChallenge: string,
  parts: {
    clientId: string
    settings: AuthorizationRequestSettings
    /** Thumbprint of the key to which the code is bound (RFC 9449 §10). */
    dpopJkt: string | undefined
  },
): URLSearchParams {
  const { login } = parts.settings
  const parameters = new URLSearchParams()
  for (const [name, value] of Object.entries(login.extraParameters)) parameters.set(name, value)
  for (const [name, value] of wish.additionalParameters) parameters.set(name, value)
  if (wish.prompt !== undefined) parameters.set('prompt', wish.prompt)
  if (wish.maxAge !== undefined) parameters.set('max_age', String(wish.maxAge))
  if (wish.acrValues !== undefined) parameters.set('acr_values', wish.acrValues.join(' '))
  for (const resource of login.resource) parameters.append('resource', resource)
  if (attempt.responseMode !== undefined) parameters.set('response_mode', attempt.responseMode)
  if (login.authorizationDetails.length > 0) {
    parameters.set('authorization_details', JSON.stringify(login.authorizationDetails))
  }
  parameters.set('scope', wish.scope)
  parameters.set('client_id', parts.clientId)
  parameters.set('response_type', 'code')
  parameters.set('redirect_uri', attempt.redirectUri)
  parameters.set('state', attempt.state)
  parameters.set('nonce', attempt.nonce)
  parameters.set('code_challenge', codeChallenge)
  parameters.set('code_challenge_method', 'S256')
  if (parts.dpopJkt !== undefined) parameters.set('dpop_jkt', parts.dpopJkt)
  return parameters
}

/** The URL the browser is sent to; parameters that the endpoint already has are kept (RFC 6749 §3.1). */
export function authorizationUrl(endpoint: string, parameters: URLSearchParams): string {
  const url = new URL(endpoint)
  for (const [name, value] of parameters) url.searchParams.append(name, value)
  return url.href
}
