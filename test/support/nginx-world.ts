import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { configurationFor } from '../../bin/nginx/for-settings.ts'
import { systemClock } from '../../shared/clock.ts'
import { parseConfig } from '../../shared/config/load.ts'
import { createCatalogue } from '../../shared/cookies/catalogue.ts'
import type { AccessContent } from '../../shared/cookies/session.ts'
import { createCookieWriter } from '../../shared/cookies/write.ts'
import { type KeyEntries, formatKeyRingFile } from '../../shared/crypto/key-ring-file.ts'
import { createKeyRing, fixedKeys } from '../../shared/crypto/key-ring.ts'
import { systemRandomBytes } from '../../shared/crypto/random.ts'
import { bindingOf } from '../../shared/crypto/seal.ts'
import { freePort } from './free-port.ts'
import { browserAfter, cookieHeader, noCookies, sessionCookies, testKeys } from './installation.ts'
import { type Nginx, nginxFolder, startNginx } from './nginx.ts'
import { type CallOptions, hostLine, ownPage, publicOrigin, siblingOrigin } from './proxy-world.ts'
import { type RawAnswer, rawRequest, sendRaw } from './raw-http.ts'

/** nginx with the module, configured by `config nginx`. */
export interface NginxWorld {
  readonly port: number
  readonly nginx: Nginx
  /** The Cookie header of a browser that signed in an hour ago. */
  cookies(change?: Partial<AccessContent>): string
  /** Sends one request; unless `lines` is given it comes from our own page with a session. */
  call(method: string, target: string, options?: CallOptions): Promise<RawAnswer>
  /** Puts another key ring in the place of the first. */
  replaceKeys(entries: KeyEntries): Promise<void>
  close(): Promise<void>
}

/** Directives for the listening sockets of the test's server beside the plain one. */
export interface ListenOptions {
  readonly directives?: string
  readonly ports?: readonly number[]
  /** Breaks the generated server part, to see what a broken one lets through. */
  readonly sabotage?: (server: string) => string
  /** Changes the generated http part. */
  readonly http?: (http: string) => string
}

/** Sends paths of no route through the module as well; it refuses them, since no route has the number 0. */
export const everythingElse =
  'location / { set_by_lua_block $th_decision { return token_handler.decide(0) } return 592; error_page 592 /token-handler-failed/592; }'

/** Seconds since 1970 from now, which is what nginx judges times by. */
export function fromNow(seconds: number): number {
  return systemClock.nowSeconds() + seconds
}

/** Starts nginx for these routes (YAML list items below `proxy.routes`) and other settings. */
export async function startNginxWorld(
  routes: string,
  settings = '',
  listen: (folder: string) => Promise<ListenOptions> = async () => ({}),
  entries: KeyEntries = testKeys(),
): Promise<NginxWorld> {
  const folder = await nginxFolder()
  const keyFile = join(folder, 'keys.json')
  await writeFile(keyFile, formatKeyRingFile(entries), { mode: 0o600 })
  const config = parseConfig(settingsText(routes, settings, keyFile), {
    env: {},
    readFile: () => formatKeyRingFile(entries),
  })
  const { http, server } = configurationFor(config)
  const port = await freePort()
  const same = (text: string) => text
  const { directives = '', ports = [], sabotage = same, http: changeHttp = same } = await listen(folder)
  const nginx = await startNginx({
    folder,
    ports: [port, ...ports],
    http: `${changeHttp(http)}\nserver {\nlisten 127.0.0.1:${port};\nserver_name www.example.com;\n${directives}\n${sabotage(server)}\n}`,
  })
  const writer = createCookieWriter({
    keys: fixedKeys(createKeyRing(entries)),
    catalogue: createCatalogue(config),
    binding: bindingOf(config),
    settings: config,
    // The agent wrote the cookies an hour ago, so that a test can let any of their limits be over.
    clock: { ...systemClock, nowSeconds: () => fromNow(-3600) },
    random: systemRandomBytes,
  })
  const cookies = (change: Partial<AccessContent> = {}) => {
    const session = sessionCookies({
      createdAt: fromNow(-3600),
      absoluteExpiresAt: fromNow(28_800),
      idleExpiresAt: fromNow(3600),
      accessTokenExpiresAt: fromNow(300),
      ...change,
    })
    return cookieHeader(browserAfter(writer.setSession(session, noCookies)))
  }
  return {
    port,
    nginx,
    cookies,
    call(method, target, options = {}) {
      const cookie = 'cookies' in options ? options.cookies : cookies()
      const lines = options.lines ?? [
        ...ownPage,
        ...(cookie === undefined ? [] : [`Cookie: ${cookie}`]),
        ...(options.more ?? []),
      ]
      return sendRaw(port, rawRequest(method, target, [hostLine, ...lines], options.body))
    },
    replaceKeys: (next) => writeFile(keyFile, formatKeyRingFile(next)),
    close: () => nginx.stop(),
  }
}

function settingsText(routes: string, settings: string, keyFile: string): string {
  return `
public_origin: ${publicOrigin}
authorization_server:
  issuer: https://login.example.com
client:
  id: spa
  authentication: client_secret_basic
  secret: correct-horse-battery-staple
keys:
  file: ${keyFile}
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
