import { createHash } from 'node:crypto'
import { type IncomingMessage, request as httpRequest } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { type FailingFront, startFailingFront } from './failing-front.ts'
import { type GatewayRecipe, type RunningGateway, startGateway } from './gateway.ts'
import { type GatewayApi, startGatewayApi } from './gateway-api.ts'
import { ownPage, type ProxyWorld, startProxy } from './proxy-world.ts'
import { type RawAnswer, rawRequest, sendRaw } from './raw-http.ts'

/** A real gateway that asks a real proxy, with an API behind it. */
export interface GatewayWorld {
  readonly gateway: RunningGateway
  readonly proxy: ProxyWorld
  readonly api: GatewayApi
  /** Stands for the agent. */
  readonly agent: GatewayApi
  /** Between gateway and proxy. */
  readonly front: FailingFront
  /** Sends bytes to the gateway, as the page of the app with a session unless told otherwise. */
  call(method: string, target: string, options?: GatewayCall): Promise<RawAnswer>
  /** Opens a request whose answer is read as it comes. */
  stream(target: string): Promise<IncomingMessage>
  close(): Promise<void>
}

export interface GatewayCall {
  readonly host?: string
  readonly cookies?: string | undefined
  /** Replaces the lines that our page sends. */
  readonly lines?: readonly string[]
  readonly more?: readonly string[]
  readonly body?: string
}

const secret = 'only-the-gateway-knows'

const routes = `
    - path: /api/**
      methods: [GET, HEAD, POST]
      upstream: https://api.example.com
      forward_cookies: [theme]
    - path: /api/open
      upstream: https://api.example.com
      credential: { kind: none }
      anonymous: none
    - path: /api/pay
      methods: [POST]
      upstream: https://api.example.com
      require: { acr: ['urn:example:mfa'] }
    - path: /api/limited
      upstream: https://api.example.com
      rate_limit: { requests: 1, window_seconds: 60 }
    - path: /api/chat
      upstream: https://api.example.com
      websocket: true
      headerless: [websocket]
`

export async function startGatewayWorld(recipe: GatewayRecipe): Promise<GatewayWorld> {
  const api = await startGatewayApi()
  const agent = await startGatewayApi()
  const proxy = await startProxy(`${routes}
  forward_auth: { gateway: ${recipe.gateway}, peers: [127.0.0.1], secret: ${secret} }
`)
  const front = await startFailingFront(proxy.port)
  const gateway = await startGateway(recipe, {
    proxyPort: front.port,
    agentPort: agent.port,
    apiPort: api.port,
    secret,
  })
  const host = 'www.example.com'
  const world: GatewayWorld = {
    gateway,
    proxy,
    api,
    agent,
    front,
    call(method, target, options = {}) {
      const cookies = 'cookies' in options ? options.cookies : proxy.cookies()
      const lines = options.lines ?? [
        ...ownPage,
        ...(cookies === undefined ? [] : [`Cookie: ${cookies}`]),
        ...(options.more ?? []),
      ]
      return sendRaw(
        gateway.port,
        rawRequest(method, target, [`Host: ${options.host ?? host}`, ...lines], options.body),
      )
    },
    stream: (path) =>
      new Promise((resolve, reject) => {
        const headers = {
          host,
          cookie: proxy.cookies(),
          accept: 'text/event-stream',
          ...Object.fromEntries(
            ownPage.map((line): [string, string] => [
              line.slice(0, line.indexOf(':')),
              line.slice(line.indexOf(':') + 2),
            ]),
          ),
        }
        httpRequest({ host: '127.0.0.1', port: gateway.port, path, headers, agent: false }, resolve)
          .on('error', reject)
          .end()
      }),
    async close() {
      await gateway.stop()
      await front.close()
      await proxy.close()
      await api.close()
      await agent.close()
    },
  }
  await untilItAsks(world)
  return world
}

/** Some gateways listen before they have read their routes. */
async function untilItAsks(world: GatewayWorld): Promise<void> {
  for (let attempt = 0; attempt < 500; attempt += 1) {
    if ((await world.call('GET', '/api/orders', { cookies: undefined })).status === 401) return
    await pause(20)
  }
  await world.close()
  throw new Error(`the gateway never asked:\n${world.gateway.log()}`)
}

export function sha256(text: string): string {
  return createHash('sha256').update(text, 'latin1').digest('hex')
}
