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

/** Tells whom the token names; that it is genuine is shown elsewhere. */
function subjectOf(authorization: string | undefined): string | undefined {
  const payload = authorization?.split('.')[1]
  if (payload === undefined) return undefined
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')) as { sub?: string }
  return claims.sub
}

const server = createServer((request, response) => {
  calls += 1
  const subject = subjectOf(request.headers.authorization)
  if (subject === undefined || request.headers.cookie !== undefined) wrong += 1
  let body = ''
  request.setEncoding('utf8').on('data', (text: string) => {
    body += text
  })
  request.on('end', () => {
    if (request.method === 'POST') orders.push(body)
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ subject }))
  })
})
server.keepAliveTimeout = 90_000
server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }))
process.on('message', () => process.send?.({ calls, orders, wrong }))
