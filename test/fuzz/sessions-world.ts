import { mock } from 'node:test'
import { exportJWK, SignJWT } from 'jose'
import { type Catalogue, createCatalogue } from '../../shared/cookies/catalogue.ts'
import { parseCookieHeader, type RequestCookies } from '../../shared/cookies/header.ts'
import { type CookieReader, createCookieReader } from '../../shared/cookies/open.ts'
import { promoteKey, removeKey, rotateKeyRing } from '../../shared/crypto/key-ring-edit.ts'
import { createKeyRing } from '../../shared/crypto/key-ring.ts'
import { systemRandomBytes } from '../../shared/crypto/random.ts'
import { bindingOf } from '../../shared/crypto/seal.ts'
import { testKeys } from '../support/installation.ts'
import { freePort } from '../support/free-port.ts'
import type { Page } from '../support/page.ts'
import { type ProviderWorld, startProviderWorld } from '../support/provider-world.ts'
import { resolvable } from '../support/resolvable.ts'
import { createSigningKey } from '../support/scripted-authorization-server.ts'
import { startUpstream, type Upstream } from '../support/upstream.ts'

export const [accessSeconds, idleSeconds, absoluteSeconds, attemptSeconds] = [300, 1800, 14_400, 600]

/** Two agents, two proxies, an API and the real oidc-provider, with a clock that only moves when it is told to. */
export interface SessionsWorld extends Pick<ProviderWorld, 'browser' | 'clock' | 'provider' | 'restart'> {
  readonly sharedStore: boolean
  readonly upstream: Upstream
  readonly catalogue: Catalogue
  /** Has the keys of the replicas. */
  readonly reader: CookieReader
  cookiesOf(page: Page): RequestCookies
  copyOf(page: Page): Page
  pass(seconds: number): void
  /** Keeps back the answer to the next token call, of which `reached` tells, until `release`. */
  holdTokenCall(): { readonly reached: Promise<true>; readonly release: () => void }
  /** The next token call is answered at once. */
  holdNothing(): void
  /** Stages a key, makes it the first, or removes the old one: whichever is next. */
  rotate(): void
  /** When a key was last removed: what was sealed before may be unreadable. */
  keyRemovedAt(): number
  /** A logout token of the provider. */
  logoutToken(claims: { readonly sub?: string; readonly sid?: string }): Promise<string>
  close(): Promise<void>
}

/** Starts the world; the clock of the process stands still until it is closed. */
export async function startSessionsWorld(sharedStore: boolean): Promise<SessionsWorld> {
  // oidc-provider takes no clock, so that of the process moves, and stands still between the words.
  mock.timers.enable({ apis: ['Date'], now: Date.now() })
  const upstream = await startUpstream()
  // Without the token that it saw: no answer of this origin may hold one.
  upstream.behave((socket) => void socket.write('HTTP/1.1 204 No Content\r\n\r\n'))
  const signer = await createSigningKey('ES256')
  let entries = testKeys('sessions')
  let ring = createKeyRing(entries)
  let isStaged = false
  let keyRemovedAt = 0
  const keys = { current: () => ring }
  const world = await startProviderWorld({
    replicas: 2,
    sharedStore,
    keysOf: () => keys,
    metadata: { backchannel_logout_uri: 'http://127.0.0.1:9/', backchannel_logout_session_required: true },
    provider: {
      // It goes, and comes back there.
      port: await freePort(),
      accessTokenSeconds: accessSeconds,
      signingKeys: [{ ...(await exportJWK(signer.privateKey)), alg: 'ES256', use: 'sig', kid: signer.kid }],
    },
    settings: settingsText(upstream.origin),
  })
  world.balance = (request) => Number(request.headers['x-replica'])
  const { clock } = world
  const catalogue = createCatalogue(world.config)
  const observe = { emit: () => {} }
  const reader = createCookieReader({ keys, catalogue, binding: bindingOf(world.config), clock, observe })
  const noHold = () => Promise.resolve()

  return {
    browser: world.browser,
    clock,
    provider: world.provider,
    restart: world.restart,
    sharedStore,
    upstream,
    catalogue,
    reader,
    cookiesOf: ({ jar }) => parseCookieHeader(jar.header('localhost', '/', 'same-site'), catalogue),
    copyOf: (page) => world.tab({ ...page, jar: page.jar.copy() }),
    pass: (seconds) => mock.timers.tick(seconds * 1000),
    holdTokenCall() {
      const released = resolvable()
      const reached = new Promise<true>((resolve) => {
        world.tap.hold = (endpoint) => {
          if (endpoint !== 'token') return noHold()
          resolve(true)
          return released.promise
        }
      })
      return { reached, release: released.resolve }
    },
    holdNothing() {
      world.tap.hold = noHold
    },
    rotate() {
      const [, second] = entries
      if (second === undefined) entries = rotateKeyRing(entries, { random: systemRandomBytes, clock }, 'stage')
      else if (isStaged) entries = promoteKey(entries, second.id)
      else {
        entries = removeKey(entries, second.id)
        keyRemovedAt = clock.nowSeconds()
      }
      isStaged = second === undefined
      ring = createKeyRing(entries)
    },
    keyRemovedAt: () => keyRemovedAt,
    logoutToken(claims) {
      const now = clock.nowSeconds()
      return new SignJWT({ ...claims, events: { 'http://schemas.openid.net/event/backchannel-logout': {} } })
        .setProtectedHeader({ alg: 'ES256', kid: signer.kid, typ: 'logout+jwt' })
        .setIssuer(world.provider.issuer)
        .setAudience('spa')
        .setJti(crypto.randomUUID())
        .setIssuedAt(now)
        .setExpirationTime(now + 120)
        .sign(signer.privateKey)
    },
    async close() {
      await world.close()
      await upstream.close()
      mock.timers.reset()
    },
  }
}

function settingsText(api: string): string {
  return `
login:
  attempt_seconds: ${attemptSeconds}
  scope: openid profile offline_access
  navigation: { enabled: true }
session:
  absolute_seconds: ${absoluteSeconds}
  idle_seconds: ${idleSeconds}
logout:
  backchannel: true
agent:
  rate_limits:
    login: { requests: 1000000 }
    refresh: { requests: 1000000 }
    session: { requests: 1000000 }
proxy:
  routes:
    - path: /api/**
      upstream: ${api}
`
}
