import type { Clock } from '../../shared/clock.ts'
import { ConfigError } from '../../shared/config/problem.ts'
import type { Config } from '../../shared/config/schema.ts'
import { generateKeyRing } from '../../shared/crypto/key-ring-edit.ts'
import { createKeyRing, fixedKeys, type KeySource } from '../../shared/crypto/key-ring.ts'
import { systemRandomBytes } from '../../shared/crypto/random.ts'
import { errorName } from '../../shared/errors.ts'
import { createAuthorizationServer } from '../../shared/oauth/authorization-server.ts'
import type { Observe } from '../../shared/observe/events.ts'
import { readKeys } from '../load-keys.ts'
import { type Mode, openStore } from '../parts.ts'
import { settingsWarnings } from '../settings-warnings.ts'
import { browserChecks } from './browser-checks.ts'
import { certificateChecks } from './certificate-checks.ts'
import { clientChecks, rotationChecks } from './client-checks.ts'
import { clockCheck } from './clock-check.ts'
import { exposureChecks } from './exposure-checks.ts'
import { error, type Finding, ranked, skipped, warning } from './finding.ts'
import { keyChecks } from './key-checks.ts'
import { keySetCheck } from './key-set-check.ts'
import { providerChecks } from './provider-checks.ts'
import { asksProvider } from './provider-use.ts'
import { signInChecks } from './sign-in-checks.ts'
import { signOutChecks } from './sign-out-checks.ts'
import { storeChecks } from './store-checks.ts'
import { upstreamChecks } from './upstream-checks.ts'

/** What an examination works with. */
export interface DoctorParts {
  readonly config: Config
  readonly clock: Clock
  /** The process that is to run with these settings and keys; any if absent. */
  readonly mode?: Mode | undefined
  /** Numeric id of the user who examines; undefined where the system has none. */
  readonly userId: number | undefined
  /** A refresh token of a test user; presenting it may end that session. */
  readonly refreshToken?: string
  /** Reaches the public origin; absent where that is not to be tried. */
  readonly fetch?: typeof fetch | undefined
}

/** Checks everything the settings name, as it is at this moment; the worst findings come first. */
export async function examine(parts: DoctorParts): Promise<Finding[]> {
  const { config, clock, mode, refreshToken, fetch: ask } = parts
  let skewSeconds = 0
  const losses: string[] = []
  const observe: Observe = {
    emit(name, fields) {
      if (name === 'store.unavailable' && 'reason' in fields) losses.push(String(fields.reason))
      const skew: unknown = 'skew_seconds' in fields ? fields.skew_seconds : undefined
      if (typeof skew === 'number') skewSeconds = skew
    },
  }
  const server = createAuthorizationServer({ config, clock, observe, keys: proofKeys(parts) })
  const store = await openStore({ config, clock, observe })
  const findings = settingsWarnings(config, mode).map(({ path, problem, remedy }) =>
    warning('settings', `${path} ${problem}`, remedy),
  )

  async function collect(check: string, source: () => Iterable<Finding> | AsyncIterable<Finding>): Promise<void> {
    try {
      for await (const finding of source()) findings.push(finding)
    } catch (failure) {
      findings.push(
        error(
          check,
          `could not be checked (${errorName(failure)})`,
          'Fix the other errors first, then run doctor again.',
        ),
      )
    }
  }

  async function collectOfProvider(): Promise<void> {
    await collect('provider', () => providerChecks(config, server))
    // Without usable metadata every other call to it fails as well, and would be blamed on something else.
    if (!findings.some(({ level, check }) => level === 'ok' && check === 'provider.discovery')) return
    await collect('client', async function* () {
      yield await clientChecks(config, server, clock, mode)
    })
    // A proxy signs nobody in.
    if (mode !== 'proxy') {
      await collect('client.redirect_uri', () => signInChecks(config, server, clock))
      await collect('client.post_logout_redirect_uri', () => signOutChecks(config, server))
      await collect('provider.jwks', async function* () {
        yield await keySetCheck(config, server)
      })
      await collect('provider.rotation', () => rotationChecks(config, server, clock, refreshToken))
    }
    await collect('provider.clock', async function* () {
      yield await clockCheck(config, server, () => skewSeconds)
    })
  }

  try {
    if (asksProvider(config, mode)) await collectOfProvider()
    else
      findings.push(skipped('provider', 'not asked: no route of this proxy needs tokens of the authorization server'))
    await collect('cookies', () => browserChecks(config, ask, mode))
    await collect('upstream', () => upstreamChecks(config, mode, clock))
    await collect('store', () => storeChecks(config, { store, losses }, clock))
    await collect('keys', () => keyChecks(config, parts))
    await collect('listen.certificate', () => certificateChecks(config, parts))
    await collect('operations', () => exposureChecks(config))
  } finally {
    await Promise.all([server.close(), store.close()])
  }
  return ranked(findings)
}

/**
 * Keys for what is proved here: those of the settings, since some servers bind refresh tokens to them as well (RFC 9449 §5).
 *
 * Where they cannot be used, which is a finding of its own, any will do: nothing that is asked for is kept.
 */
function proofKeys({ config, mode, clock }: DoctorParts): KeySource {
  try {
    return fixedKeys(readKeys(config, mode))
  } catch (failure) {
    if (!(failure instanceof ConfigError)) throw failure
    return fixedKeys(createKeyRing(generateKeyRing({ random: systemRandomBytes, clock })))
  }
}
