import { readFileSync } from 'node:fs'
import { type IncomingMessage, request as send } from 'node:http'
import { afterEach, describe, expect, it } from 'vitest'
import { freePort } from '../support/free-port.ts'
import { type ProviderWorld, startProviderWorld } from '../support/provider-world.ts'
import { type Nginx, startNginx } from '../support/nginx.ts'

let world: ProviderWorld | undefined
let nginx: Nginx | undefined
afterEach(async () => {
  await nginx?.stop()
  await world?.close()
  nginx = undefined
  world = undefined
})

/** What the shipped recipe sets for the agent. */
const shipped = (readFileSync('deploy/nginx/forward-auth.conf', 'utf8').match(/^ *proxy_buffer\S* .*;$/gm) ?? [])
  .filter((line) => !line.includes('proxy_buffering'))
  .join(' ')

/** Signs in with an access token of `bytes`, its last step through nginx; gives the status that the browser gets. */
async function signInThrough(directive: string, bytes: number): Promise<IncomingMessage> {
  world = await startProviderWorld({
    provider: { accessTokenClaims: () => ({ padding: 'x'.repeat(bytes) }) },
    settings: 'login:\n  scope: openid profile email',
  })
  const { host, port: appPort } = new URL(world.publicOrigin)
  const port = await freePort()
  nginx = await startNginx({
    http: `server { listen 127.0.0.1:${port}; location / { proxy_pass http://127.0.0.1:${appPort}; proxy_set_header Host $http_host; ${directive} } }`,
    ports: [port],
  })
  const page = world.browser()
  const start = await page.call('POST', '/oauth-agent/login/start')
  const body = (await page.visit(String(start.json()['authorization_url']), 'alice')).toString()
  return new Promise((resolve, reject) => {
    const headers = {
      host,
      origin: world?.publicOrigin ?? '',
      cookie: page.jar.header('localhost', '/', 'same-site') ?? '',
      'token-handler-version': '1',
      'sec-fetch-site': 'same-origin',
      'content-type': 'application/x-www-form-urlencoded',
      'content-length': String(Buffer.byteLength(body)),
    }
    const request = send(
      { host: '127.0.0.1', port, method: 'POST', path: '/oauth-agent/login/end', headers },
      (answer) => {
        answer.resume()
        resolve(answer)
      },
    )
    request.on('error', reject)
    request.end(body)
  })
}

describe('the head of the answer to a sign-in', () => {
  it("B13: is too large for nginx's own setting with a token of 3 KB", async () => {
    expect((await signInThrough('proxy_buffer_size 4k;', 2300)).statusCode).toBe(502)
  })
  it.each([400, 1200, 2300, 3400])(
    'B13: passes with the setting of the shipped recipe, token of about %i bytes and more',
    async (bytes) => {
      const answer = await signInThrough(shipped, bytes)
      expect(answer.statusCode).toBe(200)
      expect(answer.headers['set-cookie']?.length).toBeGreaterThan(2)
    },
  )
})

describe('errors of the question', () => {
  const recipe = readFileSync('deploy/nginx/forward-auth.conf', 'utf8')
  it('J04: the shipped recipe intercepts none of the API, and maps its own pages to refusals only', () => {
    expect(recipe).toMatch(/^ *proxy_intercept_errors off;/m)
    const pages = [...recipe.matchAll(/error_page ([\d ]+) = (@\S+);/g)].map(([, statuses, page]) => [statuses, page])
    expect(pages.length).toBeGreaterThan(0)
    for (const [, page] of pages) {
      const block = recipe.slice(recipe.indexOf(`location ${page}`))
      const returned = [...block.slice(0, block.indexOf('\n  }')).matchAll(/return (\d{3})/g)].map(
        ([, status]) => status,
      )
      expect(returned.length).toBeGreaterThan(0)
      expect(returned.filter((status) => !/^[45]/.test(status ?? ''))).toEqual([])
    }
  })
})
