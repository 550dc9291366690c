import { createServer, request as send, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { decodeJwt } from 'jose'
import { afterEach, describe, expect, it } from 'vitest'
import { createDice, type Dice } from '../fuzz/mutate.ts'
import { type ChaosLink, startChaosLink, type Trouble } from '../support/chaos-link.ts'
import type { Page } from '../support/page.ts'
import { freePort } from '../support/free-port.ts'
import { type ProviderWorld, startProviderWorld } from '../support/provider-world.ts'

/** TOKEN_HANDLER_LONG=1 sends 100,000 requests through the links. */
const requests = process.env['TOKEN_HANDLER_LONG'] === '1' ? 100_000 : 1500

const closers: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

/** What the API was asked: how often each call arrived, and for whom. */
interface Ledger {
  readonly port: number
  readonly times: Map<string, number>
  readonly subjects: Map<string, string>
}

async function startLedger(): Promise<Ledger> {
  const times = new Map<string, number>()
  const subjects = new Map<string, string>()
  const server: Server = createServer((request, response) => {
    const call = (request.url ?? '').split('/').at(-1) ?? ''
    times.set(call, (times.get(call) ?? 0) + 1)
    const bearer = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1]
    subjects.set(call, bearer === undefined ? 'nobody' : String(decodeJwt(bearer).sub))
    if (request.headers.cookie !== undefined) subjects.set(call, 'a cookie came along')
    request.resume()
    request.on('end', () => response.end(JSON.stringify({ call, padding: 'x'.repeat(700) })))
  })
  server.keepAliveTimeout = 60_000
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closers.push(
    () =>
      new Promise((resolve) => {
        server.close(resolve)
        server.closeAllConnections()
      }),
  )
  return { port: (server.address() as AddressInfo).port, times, subjects }
}

async function link(port: number): Promise<ChaosLink> {
  const made = await startChaosLink(port)
  closers.push(() => made.close())
  return made
}

interface Rig {
  readonly world: ProviderWorld
  readonly ledger: Ledger
  readonly front: ChaosLink
  readonly provider: ChaosLink
  readonly api: ChaosLink
}

/** A link before the server, one before the authorization server and one before the API. */
async function startRig(): Promise<Rig> {
  const ledger = await startLedger()
  const api = await link(ledger.port)
  const providerPort = await freePort()
  const provider = await link(providerPort)
  const world = await startProviderWorld({
    // A lost answer costs a rotated token; what is looked at here is everything else.
    provider: { port: providerPort, issuer: `http://127.0.0.1:${provider.port}`, rotateRefreshTokens: false },
    replicas: 3,
    timeoutMs: 500,
    settings: `
login:
  scope: openid profile
agent:
  rate_limits:
    refresh: { requests: 1000000, window_seconds: 1 }
    session: { requests: 1000000, window_seconds: 1 }
proxy:
  routes:
    - path: /api/**
      methods: [GET, POST]
      upstream: http://127.0.0.1:${api.port}
      response_timeout_ms: 1000`,
  })
  closers.push(() => world.close())
  const front = await link(Number(new URL(world.publicOrigin).port))
  return { world, ledger, front, provider, api }
}

type Outcome = { readonly status: number; readonly code: string } | 'no answer'

/** A call of a page through the link in front, given up after two seconds. */
function callThrough({ world, front }: Rig, page: Page, method: string, path: string, body = 'a=bc'): Promise<Outcome> {
  const { host } = new URL(world.publicOrigin)
  const cookie = page.jar.header('localhost', path, 'same-site') ?? ''
  return new Promise((resolve) => {
    const request = send(
      {
        host: '127.0.0.1',
        port: front.port,
        method,
        path,
        agent: false,
        headers: {
          host,
          cookie,
          'token-handler-version': '1',
          'sec-fetch-site': 'same-origin',
          ...(method === 'POST'
            ? {
                origin: world.publicOrigin,
                'content-type': 'application/x-www-form-urlencoded',
                'content-length': String(body.length),
              }
            : {}),
        },
        signal: AbortSignal.timeout(2000),
      },
      (response) => {
        let text = ''
        response.setEncoding('utf8')
        response.on('data', (chunk: string) => {
          text += chunk
        })
        response.on('error', () => resolve('no answer'))
        response.on('end', () => {
          if (!response.complete) return resolve('no answer')
          for (const line of response.headers['set-cookie'] ?? []) page.jar.take('localhost', line)
          const code = String(response.headers['token-handler-error'] ?? '')
          // An answer that says it is whole must be whole.
          if (code === '' && path.startsWith('/api/') && !text.endsWith('}')) resolve({ status: 0, code: 'truncated' })
          else resolve({ status: response.statusCode ?? 0, code })
        })
      },
    )
    request.on('error', () => resolve('no answer'))
    request.end(method === 'POST' ? body : undefined)
  })
}

function drawTrouble(dice: Dice): () => Trouble {
  return () => {
    const face = dice(100)
    if (face < 62) return { kind: 'none' }
    if (face < 72) return { kind: 'late', delayMs: 20 }
    if (face < 80) return { kind: 'single-bytes' }
    if (face < 86) return { kind: 'reset', afterBytes: 0 }
    if (face < 93) return { kind: 'reset', afterBytes: 1 + dice(900) }
    if (face < 99) return { kind: 'cut', afterBytes: dice(900) }
    return { kind: 'black-hole' }
  }
}

describe('chaos on every link', () => {
  it(`FI-20: ${requests} calls lose nobody's session, double no POST and meet no other user`, async () => {
    const rig = await startRig()
    const { world, ledger } = rig
    const dice = createDice(20_261_120)
    const pages: { page: Page; subject: string; refreshing: boolean }[] = []
    for (const user of ['alice', 'bob', 'alice', 'bob']) {
      const page = world.browser()
      expect((await page.signIn(user)).status).toBe(200)
      pages.push({ page, subject: world.open(page).subject, refreshing: false })
    }
    for (const each of [rig.front, rig.provider]) each.trouble(drawTrouble(dice))
    // Connections to the API are kept, so each breaks sooner or later.
    rig.api.trouble(() => ({ kind: dice(2) === 0 ? 'reset' : 'cut', afterBytes: dice(20_000) }))

    const outcomes = new Map<string, number>()
    const made: { call: string; method: string; subject: string; outcome: Outcome }[] = []
    let next = 0
    const worker = async (): Promise<void> => {
      while (next < requests) {
        const call = `call-${next++}`
        const who = pages[dice(pages.length)]
        if (who === undefined) continue
        if (dice(25) === 0 && !who.refreshing) {
          who.refreshing = true
          const outcome = await callThrough(rig, who.page, 'POST', '/oauth-agent/refresh', 'activity=background')
          who.refreshing = false
          count(outcomes, 'refresh', outcome)
          continue
        }
        const method = dice(3) === 0 ? 'POST' : 'GET'
        const outcome = await callThrough(rig, who.page, method, `/api/${call}`)
        made.push({ call, method, subject: who.subject, outcome })
        count(outcomes, method, outcome)
      }
    }
    await Promise.all(Array.from({ length: 12 }, worker))
    const table = [...outcomes].sort().map(([outcome, times]) => `${outcome}: ${times}`)
    process.stdout.write(`\nFI-20, ${requests} requests\n  ${table.join('\n  ')}\n`)

    for (const { call, method, subject, outcome } of made) {
      const times = ledger.times.get(call) ?? 0
      if (method === 'POST') expect([call, times <= 1]).toEqual([call, true])
      else expect([call, times <= 2]).toEqual([call, true])
      if (times > 0) expect([call, ledger.subjects.get(call)]).toEqual([call, subject])
      if (outcome !== 'no answer' && outcome.status === 200) expect([call, times > 0]).toEqual([call, true])
      if (outcome !== 'no answer') expect([200, 502, 503, 504, 408, 400]).toContain(outcome.status)
    }
    const kinds = [...outcomes.keys()]
    expect(kinds.filter((kind) => / 40[13]| 500|truncated/.test(kind))).toEqual([])
    expect(made.filter(({ outcome }) => outcome !== 'no answer' && outcome.status === 200).length).toBeGreaterThan(
      made.length / 3,
    )

    for (const each of [rig.front, rig.provider, rig.api]) each.trouble(() => ({ kind: 'none' }))
    for (const { page, subject } of pages) {
      const session = (await page.call('GET', '/oauth-agent/session')).json()
      expect([session['is_logged_in'], world.open(page).subject]).toEqual([true, subject])
    }
    expect(world.told('internal.failed')).toEqual([])
  })

  it.each<[string, Trouble, readonly number[]]>([
    ['before any byte', { kind: 'reset', afterBytes: 0 }, [502]],
    ['within the head', { kind: 'reset', afterBytes: 20 }, [502]],
    ['by a clean end within the head', { kind: 'cut', afterBytes: 20 }, [502]],
    ['by silence', { kind: 'black-hole' }, [504]],
  ])(
    'FI-11, FI-12: an API that breaks off %s is answered for, and the next call works',
    async (_, trouble, statuses) => {
      const rig = await startRig()
      const page = rig.world.browser()
      await page.signIn('alice')
      rig.api.trouble(() => trouble)
      for (const method of ['GET', 'POST']) {
        const outcome = await callThrough(rig, page, method, `/api/${method}-broken`)
        expect(outcome === 'no answer' ? outcome : statuses.includes(outcome.status)).toBe(true)
        expect(rig.ledger.times.get('POST-broken') ?? 0).toBeLessThanOrEqual(1)
      }
      rig.api.trouble(() => ({ kind: 'none' }))
      expect(await callThrough(rig, page, 'GET', '/api/after')).toEqual({ status: 200, code: '' })
    },
  )

  it('FI-11: an API that breaks off within the body is an error to the client, never a short success', async () => {
    const rig = await startRig()
    const page = rig.world.browser()
    await page.signIn('alice')
    rig.api.trouble(() => ({ kind: 'cut', afterBytes: 400 }))
    expect(await callThrough(rig, page, 'GET', '/api/half')).toBe('no answer')
  })

  it('FI-13: an API that is away is answered with 502, and found again when it is back', async () => {
    const rig = await startRig()
    const page = rig.world.browser()
    await page.signIn('alice')
    await rig.api.goAway()
    expect(await callThrough(rig, page, 'GET', '/api/away')).toEqual({ status: 502, code: 'upstream_unreachable' })
    await rig.api.restore()
    await expect
      .poll(async () => callThrough(rig, page, 'GET', '/api/back'), { timeout: 20_000 })
      .toEqual({ status: 200, code: '' })
  })
})

function count(outcomes: Map<string, number>, method: string, outcome: Outcome): void {
  const kind = outcome === 'no answer' ? `${method} no answer` : `${method} ${outcome.status} ${outcome.code}`.trim()
  outcomes.set(kind, (outcomes.get(kind) ?? 0) + 1)
}
