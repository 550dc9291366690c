import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type GatewayApi, startGatewayApi } from '../support/gateway-api.ts'
import { packagedRecipes } from '../support/gateway-recipes.ts'
import { type GatewayRecipe, type RunningGateway, startGateway } from '../support/gateway.ts'
import { ownPage, type ProxyWorld, startProxy } from '../support/proxy-world.ts'
import { rawRequest, sendRaw } from '../support/raw-http.ts'

const secret = 'only-the-gateway-knows'
/** How each gateway spells a Unix socket. */
const spellings: Readonly<Partial<Record<GatewayRecipe['gateway'], string>>> = { nginx: 'unix:', caddy: 'unix/' }

let folder: string
let api: GatewayApi
let proxy: ProxyWorld
let gateway: RunningGateway | undefined
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'token-handler-'))
  api = await startGatewayApi()
})
afterEach(async () => {
  await gateway?.stop()
  gateway = undefined
  await proxy.close()
  await api.close()
  rmSync(folder, { recursive: true })
})

/** The proxy at a socket, which believes nobody but those who come through it. */
async function startAtSocket(forwardAuth = ''): Promise<string> {
  const socket = join(folder, 'proxy.sock')
  proxy = await startProxy(
    `
    - path: /api/**
      upstream: http://127.0.0.1:${api.port}
      transport: protected_network
      rate_limit: { requests: 1, window_seconds: 60, by: address }
  listen: { socket: "${socket}" }
  ${forwardAuth}
`,
    'operations: { trusted_proxies: ["unix:"] }',
  )
  // A gateway that root starts works as another user, whose group would be that of the folder.
  chmodSync(folder, 0o755)
  chmodSync(socket, 0o666)
  return socket
}

describe.each(packagedRecipes.filter(({ gateway }) => gateway in spellings))(
  '$gateway asks through a socket',
  (recipe) => {
    it('and who may pass is the same', async () => {
      const socket = await startAtSocket(
        `forward_auth: { gateway: ${recipe.gateway}, peers: ["unix:"], secret: ${secret} }`,
      )
      const place = '127.0.0.1:8082'
      gateway = await startGateway(
        {
          ...recipe,
          changes: (at) => [
            [place, `${spellings[recipe.gateway]}${socket}`],
            ...recipe.changes(at).filter(([text]) => text !== place),
          ],
        },
        { proxyPort: 0, agentPort: api.port, apiPort: api.port, secret },
      )
      const ask = (cookies: readonly string[]) =>
        sendRaw(gateway?.port ?? 0, rawRequest('GET', '/api/orders', ['Host: www.example.com', ...ownPage, ...cookies]))
      await expect.poll(async () => (await ask([])).status, { timeout: 10_000 }).toBe(401)
      const answer = await ask([`Cookie: ${proxy.cookies()}`])
      expect(answer.status).toBe(200)
      expect(api.seen.at(-1)?.values('authorization')[0]).toMatch(/^Bearer /)
      // Both questions came from the same browser, whose address the gateway told.
      expect((await ask([`Cookie: ${proxy.cookies()}`])).status).toBe(429)
    })
  },
)

describe('the proxy at a socket', () => {
  const call = (client: string) => proxy.call('GET', '/api/orders', { more: [`X-Forwarded-For: ${client}`] })

  it('tells clients apart by what the gateway says of them, and tells the API', async () => {
    await startAtSocket()
    expect((await call('198.51.100.1')).status).toBe(200)
    expect(api.seen.at(-1)?.values('x-forwarded-for')).toEqual(['198.51.100.1'])
    expect((await call('198.51.100.1')).status).toBe(429)
    expect((await call('198.51.100.2')).status).toBe(200)
  })
})
