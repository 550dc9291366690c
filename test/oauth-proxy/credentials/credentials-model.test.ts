import fc from 'fast-check'
import { expect, it } from 'vitest'
import { type CredentialRoute, createCredentials } from '../../../oauth-proxy/credentials/credentials.ts'
import { createTokenRequests } from '../../../oauth-proxy/credentials/token-request.ts'
import { TokenHandlerError } from '../../../shared/errors.ts'
import { createAuthorizationServer } from '../../../shared/oauth/authorization-server.ts'
import { binding } from '../../support/installation.ts'
import { createManualClock } from '../../support/manual-clock.ts'
import { createTokenEndpoint, tokenClientConfig, type TokenReply } from '../../support/token-endpoint.ts'
import { modelSearch } from '../../support/model-search.ts'
import { turns } from '../../support/turns.ts'

const { issuer } = binding
const config = tokenClientConfig()

/** Routes whose tokens must never be taken for each other's. */
const routes: readonly CredentialRoute[] = [
  { path: '/a', credential: { kind: 'exchange', audience: 'a' }, anonymous: 'client_credentials', anonymousToken: {} },
  { path: '/b', credential: { kind: 'exchange', resource: 'a' }, anonymous: 'deny', anonymousToken: {} },
  { path: '/c', credential: { kind: 'exchange', audience: 'a', scope: 's' }, anonymous: 'deny', anonymousToken: {} },
  {
    path: '/d',
    credential: { kind: 'client_credentials', audience: 'a' },
    anonymous: 'client_credentials',
    anonymousToken: { scope: 'a' },
  },
]

const fates = ['answers', 'answers', 'answers', 'fails', 'breaks off', 'names another type', 'gives no token'] as const
const act = fc.record({
  kind: fc.constantFrom('calls', 'calls', 'calls', 'is refused'),
  route: fc.nat(routes.length - 1),
  /** Whose call it is; the last is a visitor. */
  who: fc.nat(3),
  pause: fc.nat(6),
})
const step = fc.record({
  together: fc.array(act, { minLength: 1, maxLength: 8 }),
  /** What becomes of the requests to the authorization server, one after the other. */
  fates: fc.array(
    fc.record({ fate: fc.constantFrom(...fates), waits: fc.nat(8), lifeSeconds: fc.constantFrom(0, 1, 20, 60, 600) }),
    { minLength: 1, maxLength: 4 },
  ),
  passSeconds: fc.constantFrom(0, 1, 4, 6, 31, 200),
  /** Who gets new tokens by a refresh before the next step. */
  refreshes: fc.nat(4),
})

it('C05: whoever calls what, and whatever the authorization server does: each gets a token of its own for that API, asked for once at a time', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 6 }), async (steps) => {
      const clock = createManualClock()
      const flying = new Set<string>()
      // Told in the end: what is thrown here would be a failure of the authorization server.
      const askedTwice: string[] = []
      const expiries = new Map<string, number>()
      let given = 0
      let queue: (typeof steps)[number]['fates'] = []
      let events = 0
      const transport = createTokenEndpoint(issuer, async (form): Promise<TokenReply> => {
        const target = ['audience', 'resource', 'scope'].map((name) => form.get(name) ?? '').join('/')
        const subject = form.get('subject_token') ?? 'app'
        const key = `${subject}.for.${target}`
        if (flying.has(key)) askedTwice.push(key)
        flying.add(key)
        const { fate, waits, lifeSeconds } = queue[given % queue.length] ?? {
          fate: 'answers',
          waits: 0,
          lifeSeconds: 60,
        }
        const token = `${subject}~${target}~${given++}`.replaceAll('/', '.')
        await turns(waits)
        flying.delete(key)
        if (fate === 'breaks off') throw new TypeError('network')
        if (fate === 'fails') return { status: 400, body: { error: 'invalid_target' } }
        if (fate === 'gives no token')
          return {
            body: {
              access_token: 'two words',
              token_type: 'bearer',
              issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
            },
          }
        const type =
          fate === 'names another type'
            ? 'urn:ietf:params:oauth:token-type:id_token'
            : 'urn:ietf:params:oauth:token-type:access_token'
        expiries.set(token, clock.nowSeconds() + lifeSeconds)
        return { body: { access_token: token, token_type: 'Bearer', issued_token_type: type, expires_in: lifeSeconds } }
      })
      const observe = { emit: (name: string) => void (name === 'credential.obtained' && events++) }
      const authorizationServer = createAuthorizationServer({ config, clock, observe, transport })
      const requests = createTokenRequests({ authorizationServer, settings: config.session, clock })
      const credentials = createCredentials({ requests, clock, observe })
      const generations = [0, 0, 0]
      const sessionOf = (who: number) => {
        const generation = generations[who]
        return generation === undefined
          ? undefined
          : { accessToken: `user${who}-${generation}`, accessTokenExpiresAt: lasts[who] ?? 0 }
      }
      const lasts = generations.map(() => clock.nowSeconds() + 300)
      const last = new Map<string, string>()
      let calls = 0

      for (const { together, fates: next, passSeconds, refreshes } of steps) {
        queue = next
        const begun = clock.nowSeconds()
        await Promise.all(
          together.map(async ({ kind, route: index, who, pause }) => {
            const route = routes[index]
            const session = sessionOf(who)
            if (route === undefined || (session === undefined && route.anonymous === 'deny')) return
            await turns(pause)
            const setting = session === undefined ? route.anonymousToken : route.credential
            const target = ['audience', 'resource', 'scope']
              .map((name) => String(Object.entries(setting).find(([field]) => field === name)?.[1] ?? ''))
              .join('.')
            const subject = session !== undefined && route.credential.kind === 'exchange' ? session.accessToken : 'app'
            const name = `${subject}~${target}`
            if (kind === 'is refused') {
              const value = last.get(name)
              if (value !== undefined) credentials.refused(route, session, { header: 'authorization', value })
              return
            }
            calls++
            const credential = await credentials.obtain(route, session, 'r').catch((error: unknown) => {
              expect(error).toBeInstanceOf(TokenHandlerError)
              return undefined
            })
            if (credential === undefined) return
            expect(credential.value.startsWith(`Bearer ${name}~`), `${credential.value} for ${name}`).toBe(true)
            last.set(name, credential.value)
            const token = credential.value.slice('Bearer '.length)
            // Nothing but what was just asked for may be at its end already.
            expect(expiries.get(token) ?? 0).toBeGreaterThanOrEqual(begun)
          }),
        )
        expect(flying.size).toBe(0)
        clock.pass(passSeconds)
        if (refreshes < generations.length) {
          generations[refreshes] = (generations[refreshes] ?? 0) + 1
          lasts[refreshes] = clock.nowSeconds() + 300
        }
      }
      expect(askedTwice).toEqual([])
      expect(events).toBe(calls)
      await authorizationServer.close()
    }),
    modelSearch(200),
  )
})
