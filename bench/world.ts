import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../shared/clock.ts'
import { parseConfig } from '../shared/config/load.ts'
import type { Config } from '../shared/config/schema.ts'
import { createCatalogue } from '../shared/cookies/catalogue.ts'
import { createCookieWriter } from '../shared/cookies/write.ts'
import { generateKeyRing } from '../shared/crypto/key-ring-edit.ts'
import { formatKeyRingFile } from '../shared/crypto/key-ring-file.ts'
import { createKeyRing, fixedKeys } from '../shared/crypto/key-ring.ts'
import { systemRandomBytes } from '../shared/crypto/random.ts'
import { bindingOf } from '../shared/crypto/seal.ts'

const usualOrigin = 'https://www.example.com'
export const host = new URL(usualOrigin).host

/** Ports of all processes of a run; fixed, so that configurations can be read while it goes on. */
export const ports = {
  upstream: 19100,
  operations: 19101,
  agent: 19102,
  proxy: 19103,
  forwardAuth: 19104,
  provider: 19105,
  peer: 19110,
} as const

/** One installation for all measurements: keys, settings, and browsers that are signed in. */
export interface World {
  readonly folder: string
  readonly configFile: string
  readonly config: Config
  /** Header lines of a `fetch` by our own page; each call is another signed-in browser. */
  browser(): readonly string[]
  /** As `browser`, without the Cookie line. */
  readonly page: readonly string[]
  /** Another settings file, with text put in place of parts of the usual one. */
  variant(name: string, change: (yaml: string) => string): string
  remove(): void
}

/** Some 1.2 KB, as an access token with a signature of RSA-2048 has. */
export function newAccessToken(): string {
  const segment = (bytes: number) => systemRandomBytes(bytes).toString('base64url')
  return `${segment(47)}.${segment(592)}.${segment(256)}`
}

export function createWorld({
  publicOrigin = usualOrigin,
  issuer = 'https://login.example.com',
}: {
  readonly publicOrigin?: string
  readonly issuer?: string
} = {}): World {
  const page = pageOf(publicOrigin)
  const folder = mkdtempSync(join(tmpdir(), 'token-handler-bench-'))
  const entries = generateKeyRing({ random: systemRandomBytes, clock: systemClock })
  const keyFile = join(folder, 'keys.json')
  writeFileSync(keyFile, formatKeyRingFile(entries), { mode: 0o600 })
  const yaml = settings(keyFile, publicOrigin, issuer)
  const configFile = join(folder, 'token-handler.yaml')
  writeFileSync(configFile, yaml)
  const config = parseConfig(yaml, { env: {}, readFile: () => formatKeyRingFile(entries) })
  const writer = createCookieWriter({
    keys: fixedKeys(createKeyRing(entries)),
    catalogue: createCatalogue(config),
    binding: bindingOf(config),
    settings: config,
    clock: systemClock,
    random: systemRandomBytes,
  })
  return {
    folder,
    configFile,
    config,
    page,
    browser() {
      const now = systemClock.nowSeconds()
      const facts = {
        sessionId: systemRandomBytes(16).toString('base64url'),
        generation: 1,
        subject: 'alice12345',
        createdAt: now,
        absoluteExpiresAt: now + 28_800,
        idleExpiresAt: now + 28_800,
      }
      const access = { ...facts, accessToken: newAccessToken(), accessTokenExpiresAt: now + 28_800, scope: 'openid' }
      const refresh = {
        ...facts,
        refreshToken: systemRandomBytes(32).toString('base64url'),
        scope: 'openid',
        nonce: 'n',
      }
      const identity = { ...facts, claims: { sub: facts.subject, name: 'Alice' } }
      const lines = writer.setSession({ access, refresh, identity }, { ours: new Map(), others: undefined })
      return [...page, `Cookie: theme=dark; ${lines.map((line) => line.split(';')[0]).join('; ')}`]
    },
    variant(name, change) {
      const file = join(folder, `${name}.yaml`)
      writeFileSync(file, change(yaml))
      return file
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}

/** A folder below the folder of the world. */
export function subfolder(world: World, name: string): string {
  const path = join(world.folder, name)
  mkdirSync(path, { recursive: true })
  return path
}

function pageOf(publicOrigin: string): readonly string[] {
  return [
    `Host: ${new URL(publicOrigin).host}`,
    'User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36',
    'Accept: application/json',
    'Accept-Encoding: gzip, deflate, br, zstd',
    'Accept-Language: en-GB,en;q=0.9',
    `Referer: ${publicOrigin}/orders`,
    'Sec-Fetch-Site: same-origin',
    'Sec-Fetch-Mode: cors',
    'Sec-Fetch-Dest: empty',
    'token-handler-version: 1',
  ]
}

function settings(keyFile: string, publicOrigin: string, issuer: string): string {
  return `
public_origin: ${publicOrigin}
${publicOrigin.startsWith('http:') ? 'insecure_allow_http: true' : ''}
authorization_server:
  issuer: ${issuer}
client:
  id: spa
  authentication: client_secret_basic
  secret: correct-horse-battery-staple
keys:
  file: ${keyFile}
agent:
  listen: { port: ${ports.agent} }
  rate_limits:
    session: { requests: 1000000000 }
    refresh: { requests: 1000000000 }
operations:
  listen: { port: ${ports.operations} }
proxy:
  listen: { port: ${ports.proxy} }
  routes:
    - path: /api/**
      methods: [GET, HEAD, POST]
      upstream: http://127.0.0.1:${ports.upstream}
      max_body_bytes: 2000000000
      max_concurrent_requests: 4000
      max_concurrent_requests_per_session: 4000
    - path: /api/events
      methods: [GET]
      upstream: http://127.0.0.1:${ports.upstream}
      headerless: [event_stream]
      max_concurrent_requests: 4000
      max_concurrent_requests_per_session: 4000
`
}
