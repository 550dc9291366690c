import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createServer as createDevelopmentServer, type UserConfig } from 'vite'
import { expect, it, onTestFinished } from 'vitest'
import { parse } from '../shared/config/settings.ts'

const page = readFileSync(fileURLToPath(new URL('../../spa-client/README.md', import.meta.url)), 'utf8')
const section = page.split('\n## ').find((part) => part.startsWith('While developing')) ?? ''
const block = (kind: string): string => new RegExp(`\`\`\`${kind}\\n([^]*?)\`\`\``).exec(section)?.[1] ?? ''

const settings = `${block('yaml')}
authorization_server: { issuer: "https://login.example.com" }
client: { id: app, authentication: client_secret_basic, secret: a-secret }
keys: { file: keys.json }
`

it('the development server of the page passes requests on as the settings of the page want them', async () => {
  const seen: string[] = []
  const behind = createServer(({ url, headers }, response) => {
    seen.push(`${headers.host} ${url}`)
    response.end()
  }).listen(0, '127.0.0.1')
  await once(behind, 'listening')
  onTestFinished(() => void behind.close())
  const address = behind.address()
  const port = typeof address === 'object' ? address?.port : undefined

  const code = block('js').replace('127.0.0.1:8082', `127.0.0.1:${port}`)
  const { default: shown }: { default: UserConfig } = await import(`data:text/javascript,${encodeURIComponent(code)}`)
  const root = mkdtempSync(join(tmpdir(), 'development-'))
  onTestFinished(() => rmSync(root, { recursive: true, force: true }))
  const server = await createDevelopmentServer({
    ...shown,
    configFile: false,
    root,
    logLevel: 'silent',
    optimizeDeps: { noDiscovery: true },
    server: { ...shown.server, host: '127.0.0.1', port: 0, strictPort: false, ws: false },
  })
  onTestFinished(() => server.close())
  await server.listen()

  const { origin, host } = new URL(server.resolvedUrls?.local[0] ?? '')
  for (const path of ['/oauth-agent/session', '/api/orders']) await fetch(`${origin}${path}`)
  expect(seen).toEqual([`${host} /oauth-agent/session`, `${host} /api/orders`])
  const { publicOrigin, proxy } = parse(settings)
  expect(publicOrigin).toBe(`http://localhost:${shown.server?.port}`)
  expect(block('js')).toContain(`${proxy.listen.host}:${proxy.listen.port}`)
})
