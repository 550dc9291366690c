import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { type Clock, systemClock } from '../shared/clock.ts'
import { createChat } from './api/chat.ts'
import { createVerifier, type Verification } from './api/received.ts'
import {
  answer,
  catalogue,
  challenge,
  createOrders,
  createPrices,
  invoices,
  type Resource,
  transfer,
  upload,
  weather,
  whatWasReceived,
} from './api/resources.ts'

export interface ExampleApiOptions extends Verification {
  readonly host?: string
  /** 0 takes a free port. */
  readonly port?: number
  readonly clock?: Clock
}

interface Endpoint {
  readonly resource: Resource
  /** The scope token that the access token must hold; calls without one are let in where this is absent. */
  readonly scope?: string
  /** The audience that it must name; that of this API where absent. */
  readonly audience?: string
}

/**
 * Starts the example API: it believes nothing but a valid access token or API key, as any API behind the proxy should.
 *
 * Rejects with the error of `listen`, for instance EADDRINUSE.
 */
export async function startExampleApi(options: ExampleApiOptions) {
  const { host = '127.0.0.1', port = 0, clock = systemClock } = options
  const verify = createVerifier(options)
  const orders = createOrders()
  const chat = createChat()
  const endpoints: Readonly<Record<string, Endpoint>> = {
    'GET /orders': { resource: orders.list, scope: 'orders' },
    'POST /orders': { resource: orders.add, scope: 'orders' },
    'GET /prices': { resource: createPrices(clock), scope: 'orders' },
    'POST /transfers': { resource: transfer, scope: 'orders' },
    'POST /uploads': { resource: upload, scope: 'orders' },
    'GET /received': { resource: whatWasReceived, scope: 'openid' },
    'GET /invoices': { resource: invoices, scope: 'invoices', audience: options.partnerAudience ?? 'nobody' },
    'GET /catalogue': { resource: catalogue },
    'GET /weather': { resource: weather },
  }

  const server = createServer((request, response) => {
    const serve = async (): Promise<void> => {
      const endpoint = endpoints[`${request.method} ${request.url?.split('?')[0]}`]
      const received = await verify(request)
      const call = { request, response, received: received ?? { credential: 'none' as const, cookies: [] } }
      if (endpoint === undefined) return answer(call, 404, { error: 'not found' })
      if (received === undefined) return challenge(call, 401, { error: 'invalid_token' })
      const { resource, scope, audience = options.audience } = endpoint
      if (scope !== undefined) {
        if (received.subject === undefined) return challenge(call, 401, { realm: 'example' })
        if (received.audience !== audience) return challenge(call, 401, { error: 'invalid_token' })
        const granted = received.scope?.split(' ').includes(scope) === true
        if (!granted) return challenge(call, 403, { error: 'insufficient_scope', scope })
      }
      await resource(call)
    }
    serve().catch(() => response.destroy())
  })
  server.on('upgrade', (request, socket: Duplex, head) => {
    const refuse = () => socket.end('HTTP/1.1 401 Unauthorized\r\nConnection: close\r\n\r\n')
    socket.on('error', () => socket.destroy())
    verify(request).then((received) => {
      if (request.url !== '/chat' || received?.subject === undefined || received.audience !== options.audience) refuse()
      else chat.upgrade(request, socket, head, received)
    }, refuse)
  })

  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, host, resolve))
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise<void>((resolve) => {
        chat.close()
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
