import * as oauth from 'oauth4webapi'
import type { Clock } from '../clock.ts'
import { isJsonObject } from '../json-object.ts'
import type { AuthorizationServer } from './authorization-server.ts'
import type { DpopProver } from './dpop.ts'
import { asProviderError } from './failure.ts'
import { ProviderAnswerInvalid, ProviderRefused } from './provider-error.ts'
import { parseProviderJson } from './provider-json.ts'
import { type LifetimeSettings, parseTokenLifetime } from './token-lifetime.ts'

/** A token answer whose form was checked; its ID token was not yet. */
export interface TokenAnswer {
  readonly accessToken: string
  /** Seconds since 1970; counted from the request, because nobody knows when the answer was made. */
  readonly expiresAt: number
  readonly refreshToken?: string
  /** The ID token as it came; nothing in it may be used before `checkIdToken`. */
  readonly idToken?: string
  /** Granted scope if the answer says; otherwise it is the one that was asked for (RFC 6749 §5.1). */
  readonly scope?: string
  /** What was granted in detail, unread (RFC 9396 §7). */
  readonly authorizationDetails?: unknown
  /** What kind of token it is, where the grant says (RFC 8693 §2.2.1). */
  readonly issuedTokenType?: string
  /** Id of the ring key whose DPoP key proved the request, to which the tokens are bound; absent for bearer tokens. */
  readonly dpopKeyId?: string
}

/** The tokens themselves: nothing that follows from the request. */
export type GivenTokens = Omit<TokenAnswer, 'expiresAt' | 'dpopKeyId'>

/** What the end of a token's life is reckoned with. */
export interface Lifetimes {
  readonly settings: LifetimeSettings
  readonly clock: Clock
}

/** Sends a token request with oauth4webapi and reads the answer. */
export type SendTokenRequest = (
  as: oauth.AuthorizationServer,
  options: oauth.TokenEndpointRequestOptions,
) => Promise<Response>

/** How a token request is made, and what may come of it. */
export interface TokenRequestOptions {
  /** Accepted values of `token_type` in lower case, where the tokens are bound to no key; `bearer` if absent. */
  readonly tokenTypes?: readonly string[]
  /** Proves the key to which the tokens are to be bound; then only tokens that are bound are accepted. */
  readonly prover?: DpopProver | undefined
}

/**
 * The server gave tokens that anybody can use who has them, although we proved a key: whoever took the proof off the
 * request would have made it do so (RFC 9449 §5).
 */
export class TokensNotBound extends ProviderAnswerInvalid {
  /** What is of no use to us, and should be to nobody. */
  readonly tokens: GivenTokens

  constructor(tokens: GivenTokens) {
    super('token', 'token_type')
    this.tokens = tokens
  }
}

/**
 * Asks the token endpoint once, or once more with the nonce that a refusal gives (RFC 9449 §8).
 *
 * Throws ProviderRefused for an OAuth error, ProviderUnavailable when there was no answer, ProviderAnswerInvalid when
 * the answer cannot be used, TokensNotBound where it is a downgrade.
 */
export async function requestTokens(
  server: AuthorizationServer,
  lifetimes: Lifetimes,
  send: SendTokenRequest,
  { tokenTypes = ['bearer'], prover }: TokenRequestOptions = {},
): Promise<TokenAnswer> {
  const metadata = await server.metadata()
  const options = server.callOptions('token')
  const ask = async (call: oauth.TokenEndpointRequestOptions): Promise<TokenAnswer> => {
    const askedAt = lifetimes.clock.nowSeconds()
    const { expiresIn, tokenType, ...tokens } = await parseTokenAnswer(
      await send(metadata, call),
      metadata,
      server.client,
    )
    if (prover !== undefined && tokenType === 'bearer') throw new TokensNotBound(tokens)
    const accepted = prover === undefined ? tokenTypes : ['dpop']
    if (!accepted.includes(tokenType)) throw new ProviderAnswerInvalid('token', 'token_type')
    const bound = prover === undefined ? undefined : { dpopKeyId: prover.keyId }
    return { ...tokens, expiresAt: askedAt + parseTokenLifetime(expiresIn, lifetimes.settings), ...bound }
  }
  try {
    return await (prover === undefined ? ask(options) : prover.prove(options, ask))
  } catch (error) {
    throw asProviderError(error, 'token')
  }
}

async function parseTokenAnswer(
  response: Response,
  metadata: oauth.AuthorizationServer,
  client: oauth.Client,
): Promise<GivenTokens & { readonly expiresIn: unknown; readonly tokenType: string }> {
  const body = await parseJsonObject(response)
  // Some servers answer errors with 200, others invalid_grant with 401: the member decides, not the status (D24).
  const { error } = body
  if (typeof error === 'string') throw new ProviderRefused('token', error, response.status)
  if (error !== undefined) throw new ProviderAnswerInvalid('token', 'error')

  // The library refuses some forms of expires_in that we can read, and would check half of the ID token with a clock of
  // its own; both are left out here and have one place each: token-lifetime.ts and the agent's id-token.ts.
  const plain = new Response(
    JSON.stringify({
      access_token: textOrNull(body['access_token']),
      token_type: textOrNull(body['token_type']),
      ...(body['refresh_token'] === undefined ? undefined : { refresh_token: textOrNull(body['refresh_token']) }),
      ...(body['scope'] === undefined ? undefined : { scope: textOrNull(body['scope']) }),
    }),
    { status: response.status, headers: { 'content-type': 'application/json' } },
  )
  const tokens = await oauth.processGenericTokenEndpointResponse(metadata, client, plain, { recognizedTokenTypes })
  const idToken = body['id_token']
  if (idToken !== undefined && typeof idToken !== 'string') throw new ProviderAnswerInvalid('token', 'id_token')
  const issuedTokenType = body['issued_token_type']
  const authorizationDetails = body['authorization_details']
  return {
    accessToken: checkHeaderText(tokens.access_token, 'access_token'),
    expiresIn: body['expires_in'],
    tokenType: tokens.token_type,
    ...(tokens.refresh_token === undefined
      ? undefined
      : { refreshToken: checkVisibleText(tokens.refresh_token, 'refresh_token') }),
    ...(idToken === undefined ? undefined : { idToken }),
    ...(tokens.scope === undefined ? undefined : { scope: checkVisibleText(tokens.scope, 'scope') }),
    ...(authorizationDetails === undefined ? undefined : { authorizationDetails }),
    ...(typeof issuedTokenType === 'string' ? { issuedTokenType } : undefined),
  }
}

/** `N_A` is what a token exchange says of a token that is no access token (RFC 8693 §2.2.1); callers decide on it. */
const recognizedTokenTypes: oauth.RecognizedTokenTypes = { n_a: () => undefined }

async function parseJsonObject(response: Response): Promise<Readonly<Record<string, unknown>>> {
  const text = await response.text()
  // Glewlwyd refuses a refresh token by the status alone.
  if (response.status === 400 && text === '') throw new ProviderRefused('token', undefined, response.status)
  // The status of RFC 6749 §5.2 for a client with a wrong secret, from servers that say the rest in WWW-Authenticate.
  if (response.status === 401 && text === '') throw new ProviderRefused('token', 'invalid_client', response.status)
  const type = response.headers.get('content-type')?.split(';', 1)[0]?.trim().toLowerCase() ?? ''
  if (type !== 'application/json') throw new ProviderAnswerInvalid('token', 'content_type')
  const parsed = parseProviderJson('token', text)
  if (!isJsonObject(parsed)) throw new ProviderAnswerInvalid('token', 'json_object')
  // Serialisers that write every member give null to those that are not there; that costs nobody the session.
  return Object.fromEntries(
    Object.entries(parsed).filter(([name, value]) => value !== null && !(value === '' && neverEmpty.has(name))),
  )
}

/** Members whose grammar knows no empty value (RFC 6749 A.7, A.17), so an empty one is none; an empty scope grants nothing. */
const neverEmpty: ReadonlySet<string> = new Set(['error', 'refresh_token', 'id_token'])

function textOrNull(value: unknown): string | null {
  return typeof value === 'string' ? value : null
}

/** An access token becomes a header value, so a space or a line break in it is an injection. */
function checkHeaderText(text: string, check: string): string {
  if (!/^[\x21-\x7e]+$/.test(text)) throw new ProviderAnswerInvalid('token', check)
  return text
}

function checkVisibleText(text: string, check: string): string {
  if (!/^[\x20-\x7e]*$/.test(text)) throw new ProviderAnswerInvalid('token', check)
  return text
}
