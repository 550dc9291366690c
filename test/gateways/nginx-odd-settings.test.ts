import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { configurationFor } from '../../bin/nginx/for-settings.ts'
import type { Config } from '../../shared/config/schema.ts'
import { formatKeyRingFile } from '../../shared/crypto/key-ring-file.ts'
import { root } from '../house/source-files.ts'
import { parse, settingsFile, type Tree } from '../shared/config/settings.ts'
import { testKeys } from '../support/installation.ts'
import { nginxRefusal } from '../support/nginx.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const folder = temporaryFolder()
const keyFile = folder.file('keys.json', formatKeyRingFile(testKeys()))

const configOf = (change: Tree): Config => parse(settingsFile({ keys: { file: keyFile }, ...change }))

const ownPage = 'location / { return 200 "the page"; }'

/** What nginx says of the configuration for these settings, placed as deploy/nginx/README.md says. */
function refusalFor(config: Config, page = ownPage): Promise<string | undefined> {
  const { http, server } = configurationFor(config)
  const front = `listen unix:${join(folder.path, 'front.sock')}; server_name www.example.com;`
  return nginxRefusal({ http: `${http}\nserver {\n${front}\n${server}\n${page}\n}` })
}

const route = (more: Tree = {}): Tree => ({ path: '/api/**', upstream: 'http://127.0.0.1:9', ...more })

describe('nginx starts with', () => {
  it.each(['a b', 'a;b', 'a$b', 'a{b}', '#a', 'a"b', "a'b", 'a\\b', 'ä'])(
    'a socket whose path holds %s',
    async (name) => {
      const listen = { socket: `/run/${name}.sock` }
      const operations = { trusted_proxies: ['unix:'] }
      const config = configOf({ agent: { listen }, proxy: { listen, routes: [route()] }, operations })
      expect(await refusalFor(config)).toBeUndefined()
    },
  )

  it.each<[string, Tree]>([
    ['a long path', { proxy: { routes: [route({ path: `/${'a'.repeat(3000)}/**` })] } }],
    ['a long issuer', { authorization_server: { issuer: `https://login.example.com/${'ü'.repeat(2000)}` } }],
    [
      'many headers that pages of another host may send',
      { cors: { request_headers: Array.from({ length: 300 }, (_, index) => `X-Header-Of-The-Page-${index}`) } },
    ],
  ])('%s', async (_, change) => {
    expect(await refusalFor(configOf({ proxy: { routes: [route()] }, ...change }))).toBeUndefined()
  })
})

it('a route of every path comes in the place of the `location /` of an operator, as the page says', async () => {
  const config = configOf({ proxy: { routes: [route({ path: '/**' })] } })
  expect(await refusalFor(config, '')).toBeUndefined()
  const said = /duplicate location "\/"/
  expect(await refusalFor(config)).toMatch(said)
  expect(readFileSync(join(root, 'deploy/nginx/README.md'), 'utf8').replaceAll('\n', ' ')).toMatch(said)
})
