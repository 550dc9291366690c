import { createHash, randomInt } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '../../shared/clock.ts'
import { mfaLevel } from '../openid-provider.ts'
import type { Received } from './received.ts'

/** One call whose credential has been verified. */
export interface Call {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly received: Received
}

export type Resource = (call: Call) => void | Promise<void>

interface Order {
  readonly id: number
  readonly item: string
  readonly quantity: number
}

const maxJsonBytes = 10_000

/** Answers with JSON that also tells what the API received. */
export function answer({ response, received }: Call, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' })
  response.end(JSON.stringify({ ...body, received }))
}

/** Refuses a call with a challenge (RFC 6750 §3, RFC 9470 §3). */
export function challenge(call: Call, status: 401 | 403, parameters: Readonly<Record<string, string>>): void {
  const text = Object.entries(parameters).map(([name, value]) => `${name}="${value}"`)
  call.response.setHeader('www-authenticate', `Bearer ${text.join(', ')}`)
  answer(call, status, { error: parameters['error'] })
}

async function readJson(request: IncomingMessage): Promise<Readonly<Record<string, unknown>> | undefined> {
  let text = ''
  for await (const chunk of request.setEncoding('utf8')) {
    text += String(chunk)
    if (text.length > maxJsonBytes) return undefined
  }
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? { ...value } : undefined
  } catch {
    return undefined
  }
}

/** Orders of each user, kept in memory. */
export function createOrders(): { readonly list: Resource; readonly add: Resource } {
  const orders = new Map<string, Order[]>()
  const of = ({ received }: Call): Order[] => {
    const subject = received.subject ?? ''
    const present = orders.get(subject) ?? [
      { id: 1, item: 'Espresso beans, 1 kg', quantity: 2 },
      { id: 2, item: 'Paper filters', quantity: 1 },
    ]
    orders.set(subject, present)
    return present
  }
  return {
    list: (call) => answer(call, 200, { orders: of(call) }),
    async add(call) {
      const { item, quantity } = (await readJson(call.request)) ?? {}
      const valid = typeof item === 'string' && item.trim() !== '' && item.length <= 80
      if (!valid || !Number.isInteger(quantity)) return answer(call, 400, { error: 'item or quantity is missing' })
      const mine = of(call)
      const order = { id: (mine.at(-1)?.id ?? 0) + 1, item: item.trim(), quantity: Number(quantity) }
      mine.push(order)
      if (mine.length > 50) mine.shift()
      answer(call, 201, { order })
    },
  }
}

/** A transfer of money, which wants the second factor whatever the proxy thinks. */
export const transfer: Resource = async (call) => {
  if (call.received.acr !== mfaLevel) {
    return challenge(call, 401, { error: 'insufficient_user_authentication', acr_values: mfaLevel })
  }
  const { to, amount } = (await readJson(call.request)) ?? {}
  if (typeof to !== 'string' || typeof amount !== 'number')
    return answer(call, 400, { error: 'to or amount is missing' })
  answer(call, 201, { transfer: { reference: randomInt(100_000, 999_999), to, amount } })
}

/** Anybody may look; the application's own token says on whose behalf the page asks. */
export const catalogue: Resource = (call) =>
  answer(call, 200, {
    articles: [
      { name: 'Espresso beans, 1 kg', price: 18.5 },
      { name: 'Paper filters', price: 3.2 },
      { name: 'Hand grinder', price: 64 },
    ],
  })

/** What a partner has to collect; it believes only tokens made out to the partner. */
export const invoices: Resource = (call) =>
  answer(call, 200, {
    invoices: [
      { number: 'R-2041', amount: 118.4 },
      { number: 'R-2057', amount: 64 },
    ],
  })

/** A third-party API that knows a key and no users. */
export const weather: Resource = (call) => {
  if (call.received.credential !== 'api key') return answer(call, 401, { error: 'no api key' })
  answer(call, 200, { place: 'Bergen', sky: 'rain', celsius: 9 })
}

/** Counts what it is sent, without keeping it. */
export const upload: Resource = async (call) => {
  const hash = createHash('sha256')
  let bytes = 0
  for await (const chunk of call.request as AsyncIterable<Buffer>) {
    bytes += chunk.length
    hash.update(chunk)
  }
  answer(call, 201, { bytes, sha256: hash.digest('hex') })
}

/** Only tells what it received. */
export const whatWasReceived: Resource = (call) => answer(call, 200, {})

/** Prices as server-sent events, one a second, until the client goes. */
export function createPrices(clock: Clock): Resource {
  const start: Readonly<Record<string, number>> = { BEAN: 18.5, LEAF: 7.25, CUPS: 12 }
  return ({ request, response }) => {
    const prices = new Map(Object.entries(start))
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
    let stop = (): void => undefined
    const send = (): void => {
      for (const [name, price] of prices) {
        const next = Math.max(1, price + randomInt(-20, 21) / 100)
        prices.set(name, next)
        response.write(`data: ${JSON.stringify({ name, price: Number(next.toFixed(2)), at: clock.nowMs() })}\n\n`)
      }
      stop = clock.after(1000, send)
    }
    send()
    request.once('close', () => stop())
  }
}
