import { randomBytes } from 'node:crypto'
import { endsSession } from '../../oauth-agent/flows/refresh-at-server.ts'
import type { Clock } from '../../shared/clock.ts'
import type { Config } from '../../shared/config/schema.ts'
import { errorName } from '../../shared/errors.ts'
import type { AuthorizationServer } from '../../shared/oauth/authorization-server.ts'
import { formEncoded } from '../../shared/oauth/client-authentication.ts'
import { presentRefreshToken } from '../../shared/oauth/probe.ts'
import { ProviderAnswerInvalid, ProviderRefused, ProviderUnavailable } from '../../shared/oauth/provider-error.ts'
import type { TokenAnswer } from '../../shared/oauth/token-endpoint.ts'
import type { Secret } from '../../shared/secret.ts'
import type { Mode } from '../parts.ts'
import { error, type Finding, ok, skipped, warning } from './finding.ts'
import { whyUnavailable } from './why-unavailable.ts'

/**
 * Whether the authorization server accepts this client.
 *
 * A refresh token that cannot exist is presented: a server that answers `invalid_grant` has accepted the client first
 * (RFC 6749 §5.2).
 */
export async function clientChecks(
  config: Config,
  server: AuthorizationServer,
  clock: Clock,
  mode?: Mode,
): Promise<Finding> {
  const lifetimes = { settings: config.session, clock }
  const check = 'client.accepted'
  const accepted = ok(check, 'the client and its credentials are accepted')
  try {
    await presentRefreshToken(server, lifetimes, randomBytes(32).toString('base64url'))
    return error(check, 'a refresh token made up just now was accepted', 'Do not use this authorization server.')
  } catch (failure) {
    if (failure instanceof ProviderUnavailable) {
      return error(
        check,
        `the token endpoint cannot be reached (${whyUnavailable(failure, config)})`,
        'Check network and certificates.',
      )
    }
    if (!(failure instanceof ProviderRefused)) {
      return warning(check, 'the token endpoint gave an answer that cannot be read', 'Look at what stands before it.')
    }
    // A server that names no error may have looked at the token alone, as Glewlwyd does.
    if (failure.error === 'no_error_code' && endsSession(failure, config)) {
      return skipped(check, `the answer (${failure.status}, empty) does not tell whether the credentials are accepted`)
    }
    if (endsSession(failure, config)) return accepted
    switch (failure.error) {
      case 'invalid_client':
        return error(check, 'the client or its credentials are refused (invalid_client)', remedyFor(config.client))
      case 'unauthorized_client':
      case 'unsupported_grant_type':
        // A client of its own for the proxy has no use for them.
        if (mode === 'proxy') return accepted
        return error(
          check,
          `the client may not use refresh tokens (${failure.error})`,
          'Allow the grants authorization_code and refresh_token for this client.',
        )
      case 'invalid_request':
      case 'no_error_code':
        return warning(
          check,
          `the token endpoint answered ${failure.error} (${failure.status}) where invalid_grant was expected`,
          'Look at its log; if it answers so with 400 to an expired token, set session.end_on_invalid_request: true.',
        )
      default:
        return warning(
          check,
          `the token endpoint answered ${failure.error}`,
          'Look at its log; invalid_grant was expected.',
        )
    }
  }
}

function remedyFor(client: Config['client']): string {
  const remedy = 'Compare client.id, client.authentication and the secret or key with the registration.'
  if (client.authentication === 'private_key_jwt' && client.typedAssertion) {
    return `${remedy} Some servers refuse the type of the assertion: client.typed_assertion: false. Others want the token endpoint as its audience instead of the issuer: they need a client secret.`
  }
  if (client.authentication === 'client_secret_basic' && changesInBasic(client)) {
    return `${remedy} Some servers do not decode what a form encodes, such as + and /: client.authentication: client_secret_post.`
  }
  return remedy
}

/** Whether a server that skips the decoding of RFC 6749 §2.3.1 would read something else than was registered. */
function changesInBasic(client: { readonly id: string; readonly secret: Secret }): boolean {
  return [client.id, client.secret.reveal()].some((value) => formEncoded(value) !== value)
}

/**
 * Whether refresh tokens rotate, and whether the old one works for a while longer; and how long access tokens live.
 *
 * No metadata tells; only using a real refresh token does, and it may end the session that the token belongs to.
 */
export async function* rotationChecks(
  config: Config,
  server: AuthorizationServer,
  clock: Clock,
  refreshToken: string | undefined,
): AsyncIterable<Finding> {
  const check = 'provider.rotation'
  if (refreshToken === undefined) {
    yield skipped(check, 'not tried; --refresh-token-file with a token of a test user shows rotation and grace')
    return
  }
  const lifetimes = { settings: config.session, clock }
  const first = await presentRefreshToken(server, lifetimes, refreshToken).catch((failure: unknown) => failure)
  if (!isAnswer(first)) {
    yield isRefused(first, config)
      ? error(check, 'the given refresh token is not accepted', 'Give a fresh one that belongs to this client.')
      : skipped(
          check,
          `not found out: presenting the given refresh token came to nothing (${whyUnclear(first, config)})`,
        )
    return
  }
  yield* lifetimeCheck(first, clock)
  if (first.refreshToken === undefined || first.refreshToken === refreshToken) {
    yield ok(check, 'refresh tokens stay the same; nothing can be lost by using one twice')
    return
  }
  const second = await presentRefreshToken(server, lifetimes, refreshToken).catch((failure: unknown) => failure)
  if (isAnswer(second)) {
    yield ok(check, 'refresh tokens rotate, and the old one works for a moment longer')
    return
  }
  if (!isRefused(second, config)) {
    const why = whyUnclear(second, config)
    yield skipped(
      check,
      `refresh tokens rotate; whether with grace was not found out, since the old one came to nothing (${why})`,
    )
    return
  }
  const single = config.store.kind === 'memory'
  yield single
    ? warning(
        check,
        'refresh tokens rotate without grace: one used twice ends the session',
        'Run a single process, or set store.kind: valkey; or give the authorization server a grace period.',
      )
    : ok(check, 'refresh tokens rotate without grace; the shared store makes sure that each is used once')
}

/** A longer life gains nothing, since a refresh is one call, and is how long a stolen token is good for (RFC 10017 §9.1). */
const longestLifeSeconds = 900

function* lifetimeCheck({ expiresAt }: TokenAnswer, clock: Clock): Iterable<Finding> {
  const seconds = expiresAt - clock.nowSeconds()
  if (seconds <= longestLifeSeconds) return
  yield warning(
    'provider.access_token',
    `access tokens live for ${Math.round(seconds / 60)} minutes, and so does what a thief can do with one`,
    'Let the authorization server give them five to fifteen minutes.',
  )
}

/** Whether this says that the refresh token itself is of no use, and nothing else. */
function isRefused(failure: unknown, config: Config): boolean {
  return failure instanceof ProviderRefused && endsSession(failure, config)
}

/** What came instead of an answer about the token. */
function whyUnclear(failure: unknown, config: Config): string {
  if (failure instanceof ProviderUnavailable) return whyUnavailable(failure, config)
  if (failure instanceof ProviderRefused) return `${failure.error}, ${failure.status}`
  return failure instanceof ProviderAnswerInvalid ? failure.check : errorName(failure)
}

function isAnswer(value: unknown): value is TokenAnswer {
  return typeof value === 'object' && value !== null && 'accessToken' in value
}
