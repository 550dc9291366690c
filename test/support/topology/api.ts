import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What the API has seen, for the process that started it. */
export interface ApiLedger {
  readonly calls: number
  /** Ids of the orders that came, each as often as it came. */
  readonly orders: readonly string[]
  /** Calls that came with a cookie or without a token; there must be none. */
  readonly wrong: number
}

const orders: string[] = []
let calls = 0
let wrong = 0

/** What the token says; that it is genuine is shown elsewhere. */
function claimsOf(authorization: string | undefined): { sub?: string; aud?: unknown; azp?: string } {
  const payload = authorization?.split('.')[1]
  return payload === undefined ? {} : JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'))
}

const server = createServer((request, response) => {
  calls += 1
  const { sub: subject, aud: audience, azp: party } = claimsOf(request.headers.authorization)
  if (subject === undefined || request.headers.cookie !== undefined) wrong += 1
  let body = ''
  request.setEncoding('utf8').on('data', (text: string) => {
    body += text
  })
  request.on('end', () => {
    if (request.method === 'POST') orders.push(body)
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ subject, audience, party }))
  })
})
server.keepAliveTimeout = 90_000
server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }))
process.on('message', () => process.send?.({ calls, orders, wrong }))
