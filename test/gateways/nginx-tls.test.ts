import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { type RunningServer, serve } from '../../shared/http/serve.ts'
import { createCertificate, type TestCertificate } from '../support/certificate.ts'
import { freePort } from '../support/free-port.ts'
import { type Nginx, nginxFolder, startNginx } from '../support/nginx.ts'
import { hostLine, ownPage, type ProxyWorld, startProxy } from '../support/proxy-world.ts'
import { type RawAnswer, rawRequest, sendRaw } from '../support/raw-http.ts'
import { startUpstream } from '../support/upstream.ts'

const authority = createCertificate({ name: 'authority' })
const signed = (name: string, ...hosts: string[]) => createCertificate({ name, issuer: authority, hosts })
const expired = (hosts: string[]) =>
  createCertificate({ name: 'proxy', issuer: authority, hosts, until: '210101000000Z' })
const name = 'token-handler-proxy.internal'
const gateway = signed('gateway')
const upstream = await startUpstream()
afterAll(() => upstream.close())

let world: ProxyWorld
let recipe: string
beforeAll(async () => {
  const guide = await readFile(new URL('../../docs/deployment.md', import.meta.url), 'utf8')
  recipe = /```nginx\n([^]*?)```/.exec(guide)?.[1] ?? ''
  world = await startProxy(`\n    - { path: /api/**, upstream: '${upstream.origin}' }\n`)
})
afterAll(() => world.close())

let server: RunningServer | undefined
let nginx: Nginx | undefined
beforeEach(() => upstream.reset())
afterEach(async () => {
  await nginx?.stop()
  nginx = undefined
  const stopped = server?.stop(0)
  world.clock.pass(1)
  await stopped
})

/** What a signed-in page gets through nginx with the recipe of the guide, from a proxy with this certificate. */
async function askThrough(own: TestCertificate, shown: TestCertificate | undefined): Promise<RawAnswer> {
  server = await serve({
    handler: world.proxy,
    listen: { host: '127.0.0.1', port: 0 },
    certificate: { current: () => ({ ...own, clientCa: authority.certificate }), onChange: () => undefined },
    clock: world.clock,
    observe: { emit: () => undefined },
  })
  const folder = await nginxFolder()
  await writeFile(join(folder, 'ca.crt'), authority.certificate)
  await writeFile(join(folder, 'gateway.crt'), shown?.certificate ?? '')
  await writeFile(join(folder, 'gateway.key'), shown?.privateKey ?? '')
  const location = recipe.replaceAll('/etc/nginx/token-handler', folder)
  const mine = shown === undefined ? location.replace(/ *proxy_ssl_certificate(?:_key)? .*\n/g, '') : location
  const port = await freePort()
  nginx = await startNginx({
    folder,
    ports: [port],
    http: `upstream token_handler_proxy { server 127.0.0.1:${server.port}; keepalive 4; }
server {
  listen 127.0.0.1:${port};
  proxy_http_version 1.1;
  proxy_set_header Host $http_host;
  proxy_set_header Connection "";
  ${mine}
}`,
  })
  return sendRaw(port, rawRequest('GET', '/api/orders', [hostLine, ...ownPage, `Cookie: ${world.cookies()}`]))
}

it('nginx with the recipe reaches a proxy that listens with TLS and asks for its certificate', async () => {
  expect((await askThrough(signed('proxy', name), gateway)).status).toBe(200)
  expect(upstream.seen[0]?.values('authorization')[0]).toMatch(/^Bearer /)
})

it.each<[string, TestCertificate, TestCertificate | undefined]>([
  ['shows no certificate', signed('proxy', name), undefined],
  ['shows one of another authority', signed('proxy', name), createCertificate({ name: 'gateway' })],
  ['finds another name', signed('proxy', 'elsewhere.internal'), gateway],
  ['finds one that has expired', expired([name]), gateway],
  ['finds a certificate of another authority', createCertificate({ name: 'proxy', hosts: [name] }), gateway],
])('FI-28 nothing passes where nginx %s', async (_, own, shown) => {
  const { status } = await askThrough(own, shown)
  expect(status).toBe(502)
  expect(upstream.seen).toEqual([])
})
