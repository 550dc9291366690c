import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { JSONWebKeySet } from 'jose'
import { stringify } from 'yaml'
import { parseKeyRingFile } from '../../shared/crypto/key-ring-file.ts'
import type { ApiLedger } from './topology/api.ts'
import { type Answer, type Browser, createBrowser, type Person } from './topology/browser.ts'
import { type Replica, startAsked, startReplica } from './topology/processes.ts'

/** What differs from one authorization server to the next. */
export interface InteropSettings {
  /** Folder for keys, settings and log; made if it is not there. */
  readonly folder: string
  readonly port: number
  readonly operationsPort: number
  /** Settings beside those that are the same everywhere. */
  readonly settings: Readonly<Record<string, unknown>> & { readonly client: object }
  /** Routes, given the address of the API. */
  readonly routes: (upstream: string) => readonly object[]
}

/** What `GET /session` tells somebody who is signed in, as far as these tests look at it. */
interface SessionAnswer {
  readonly is_logged_in: boolean
  readonly session: { readonly generation: number; readonly acr?: string }
}

/** The program with an API behind it, as a browser uses it. */
export interface InteropWorld {
  readonly tokenHandler: Replica
  signedIn(person: Person): Promise<Browser>
  session(browser: Browser): Promise<SessionAnswer>
  /** Restarts the program with tokens bound to a key, or not. */
  bindTokens(isBound: boolean): Promise<void>
  /** Puts a new key in the place of the one that seals; `meanwhile` both open, and sessions can take the new one. */
  replaceKey(meanwhile: () => Promise<unknown>): Promise<void>
  stop(): Promise<void>
}

/** The JSON of an answer. */
export const json = ({ text }: Answer) => JSON.parse(text)

/** Refreshes the session of this browser. */
export const refresh = (browser: Browser) => browser.fetch('POST', '/oauth-agent/refresh')

/** Refreshes in twenty tabs at once; the statuses of the answers. */
export async function refreshInTwentyTabs(browser: Browser): Promise<number[]> {
  const answers = await Promise.all(Array.from({ length: 20 }, () => refresh(browser)))
  return answers.map(({ status }) => status)
}

/** What twenty tabs get that refresh well. */
export const twentyTimesOk: readonly number[] = Array.from({ length: 20 }, () => 200)

/** The keys of an authorization server that runs already. */
export const jwksOf = async (url: string) => (await (await fetch(url)).json()) as JSONWebKeySet

/** Starts API and program for an authorization server that runs already. */
export async function startInterop(options: InteropSettings): Promise<InteropWorld> {
  const { folder, port, operationsPort } = options
  const origin = `http://localhost:${port}`
  const api = await startAsked<ApiLedger>('api')
  const [keys, config] = [join(folder, 'keys.json'), join(folder, 'token-handler.yaml')]
  mkdirSync(folder, { recursive: true })
  const changeKeys = (...words: string[]) => execFileSync(process.execPath, ['bin/token-handler.ts', 'keys', ...words])
  const keyIds = () => parseKeyRingFile(readFileSync(keys, 'utf8')).map(({ id }) => id)
  changeKeys('generate', keys)
  const settings = {
    public_origin: origin,
    insecure_allow_http: true,
    cookies: { id_token_hint: true },
    keys: { file: keys },
    proxy: { listen: { host: '127.0.0.1', port }, routes: options.routes(`http://127.0.0.1:${api.port}`) },
    operations: { listen: { host: '127.0.0.1', port: operationsPort }, shutdown_wait_seconds: 0 },
    observability: { log_level: 'warn' },
    ...options.settings,
  }
  writeFileSync(config, stringify(settings))
  const tokenHandler = await startReplica({
    mode: 'serve',
    config,
    port,
    operationsPort,
    log: join(folder, 'log'),
  }).catch(async (error: unknown) => {
    await api.stop()
    throw error
  })
  return {
    tokenHandler,
    async signedIn(person) {
      const browser = createBrowser(origin, person)
      await browser.signIn()
      return browser
    },
    session: async (browser) => json(await browser.fetch('GET', '/oauth-agent/session')) as SessionAnswer,
    async bindTokens(isBound) {
      const client = { ...options.settings.client, dpop_bound_access_tokens: isBound }
      writeFileSync(config, stringify({ ...settings, client }))
      await tokenHandler.restart()
    },
    async replaceKey(meanwhile) {
      const [oldId = ''] = keyIds()
      changeKeys('rotate', keys)
      changeKeys('promote', keys, keyIds().find((id) => id !== oldId) ?? '')
      await tokenHandler.restart()
      await meanwhile()
      changeKeys('remove', keys, oldId)
      await tokenHandler.restart()
    },
    async stop() {
      await tokenHandler.stop()
      await api.stop()
    },
  }
}
