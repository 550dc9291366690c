import { parseConfig } from '../../shared/config/load.ts'
import type { Config } from '../../shared/config/schema.ts'
import { createCatalogue } from '../../shared/cookies/catalogue.ts'
import type { AccessContent } from '../../shared/cookies/session.ts'
import { createCookieWriter } from '../../shared/cookies/write.ts'
import { csrfToken } from '../../shared/crypto/csrf-token.ts'
import { formatKeyRingFile } from '../../shared/crypto/key-ring-file.ts'
import { createKeyRing, fixedKeys, type KeySource } from '../../shared/crypto/key-ring.ts'
import { systemRandomBytes } from '../../shared/crypto/random.ts'
import { bindingOf } from '../../shared/crypto/seal.ts'
import { serve } from '../../shared/http/serve.ts'
import { createAuthorizationServer } from '../../shared/oauth/authorization-server.ts'
import type { EventName, Observe } from '../../shared/observe/events.ts'
import { createMemoryStore } from '../../shared/store/memory.ts'
import type { Store } from '../../shared/store/store.ts'
import { createProxy, type Proxy } from '../../oauth-proxy/proxy.ts'
import { browserAfter, cookieHeader, noCookies, sessionCookies, sessionFacts, testKeys } from './installation.ts'
import { createManualClock, type ManualClock } from './manual-clock.ts'
import { type RawAnswer, rawRequest, sendRaw } from './raw-http.ts'

export const publicOrigin = 'https://www.example.com'
export const siblingOrigin = 'https://shop.example.com'

/** A proxy that listens, with everything a test may want to turn. */
export interface ProxyWorld {
  readonly port: number
  readonly proxy: Proxy
  readonly config: Config
  readonly keys: KeySource
  readonly store: Store
  readonly clock: ManualClock
  readonly events: { name: EventName; fields: Readonly<Record<string, unknown>> }[]
  /** The Cookie header of a signed-in browser. */
  cookies(change?: Partial<AccessContent>): string
  /** The CSRF token of a session; of the usual one if absent. */
  csrfToken(sessionId?: string): string
  /** Sends one request; unless `lines` is given it comes from our own page with a session. */
  call(method: string, target: string, options?: CallOptions): Promise<RawAnswer>
  /** Stops everything, and throws when something happened that never may; see `checkInvariants`. */
  close(): Promise<void>
}

export interface CallOptions {
  /** Replaces all header lines but Host. */
  readonly lines?: readonly string[]
  /** Added to the usual lines. */
  readonly more?: readonly string[]
  readonly body?: string
  readonly cookies?: string | undefined
}

/** Text of the files that settings name. */
export type Files = (path: string) => string | undefined

/** Starts a proxy with these routes (YAML list items below `proxy.routes`), other settings, and lines of the client section. */
export async function startProxy(routes: string, settings = '', files?: Files, client?: string): Promise<ProxyWorld> {
  const entries = testKeys()
  const config = proxyConfig(routes, settings, files, client)
  const clock = createManualClock()
  const events: ProxyWorld['events'] = []
  const observe: Observe = { emit: (name, fields) => void events.push({ name, fields }) }
  const keys = fixedKeys(createKeyRing(entries))
  const store = createMemoryStore({ clock })
  const authorizationServer = createAuthorizationServer({ config, keys, clock, observe })
  const proxy = await createProxy({
    config,
    keys,
    loadAuthorizationServer: () => Promise.resolve(authorizationServer),
    store,
    clock,
    observe,
    readFile: (path) => files?.(path) ?? '',
  })
  const { socket } = config.proxy.listen
  const server = await serve({ handler: proxy, listen: { host: '127.0.0.1', port: 0, socket }, clock, observe })
  const writer = createCookieWriter({
    keys,
    catalogue: createCatalogue(config),
    binding: bindingOf(config),
    settings: config,
    clock,
    random: systemRandomBytes,
  })
  const secrets = new Set<string>()
  const answers: RawAnswer[] = []
  const cookies = (change: Partial<AccessContent> = {}) => {
    const session = sessionCookies({ accessTokenExpiresAt: clock.nowSeconds() + 300, ...change })
    const { access } = session
    const header = cookieHeader(browserAfter(writer.setSession({ ...session, access }, noCookies)))
    for (const secret of [access.accessToken, header]) if (secret !== '') secrets.add(secret)
    return header
  }
  return {
    port: server.port,
    proxy,
    config,
    keys,
    store,
    clock,
    events,
    cookies,
    csrfToken: (sessionId = sessionFacts().sessionId) => csrfToken(keys.current(), sessionId),
    async call(method, target, options = {}) {
      const cookie = 'cookies' in options ? options.cookies : cookies()
      const lines = options.lines ?? [
        ...ownPage,
        ...(cookie === undefined ? [] : [`Cookie: ${cookie}`]),
        ...(options.more ?? []),
      ]
      const bytes = rawRequest(method, target, [hostLine, ...lines], options.body)
      const answer = await sendRaw(socket ?? server.port, bytes)
      answers.push(answer)
      return answer
    },
    async close() {
      await proxy.close()
      const stopped = server.stop(0)
      clock.pass(1)
      await stopped
      await store.close()
      await authorizationServer.close()
      checkInvariants(answers, events, [...secrets])
    },
  }
}

/** What must hold whatever a test did: no secret in an event or in a refusal, and no refusal that a cache may keep. */
function checkInvariants(
  answers: readonly RawAnswer[],
  events: ProxyWorld['events'],
  secrets: readonly string[],
): void {
  const told = JSON.stringify(events)
  if (secrets.some((secret) => told.includes(secret))) throw new Error('an event holds a secret')
  for (const { status, lines, header, body } of answers) {
    const code = header('token-handler-error')
    if (code === undefined) continue
    const text = lines.join('\n') + body
    if (secrets.some((secret) => text.includes(secret))) throw new Error(`${status} ${code} holds a secret`)
    if (header('cache-control') !== 'no-store') throw new Error(`${status} ${code} may be cached`)
    if (header('set-cookie') !== undefined) throw new Error(`${status} ${code} sets a cookie`)
  }
}

/** The settings of such a proxy. */
export function proxyConfig(routes: string, settings = '', files: Files = () => undefined, client?: string): Config {
  const keyRing = formatKeyRingFile(testKeys())
  return parseConfig(settingsText(routes, settings, client), { env: {}, readFile: (path) => files(path) ?? keyRing })
}

export const hostLine = 'Host: www.example.com'
/** Header lines that a browser sends for `fetch` in our own page, as the browser client makes it. */
export const ownPage: readonly string[] = [
  'token-handler-version: 1',
  'Sec-Fetch-Site: same-origin',
  'Sec-Fetch-Mode: cors',
  'Sec-Fetch-Dest: empty',
]

function settingsText(routes: string, settings: string, client = ''): string {
  return `
public_origin: ${publicOrigin}
authorization_server:
  issuer: https://login.example.com
client:
  id: spa
  authentication: client_secret_basic
  secret: correct-horse-battery-staple
${client}
keys:
  file: /run/secrets/keys.json
cors:
  origins: [${siblingOrigin}]
  request_headers: [X-Tenant, X-Trial]
  response_headers: [Link]
${settings}
proxy:
  routes:
${routes}
`
}
