import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { stringify } from 'yaml'
import { configurationFor } from '../../bin/nginx/for-settings.ts'
import { partChecks } from '../../bin/part-checks.ts'
import { ConfigError } from '../../shared/config/problem.ts'
import type { Config } from '../../shared/config/schema.ts'
import { formatKeyRingFile } from '../../shared/crypto/key-ring-file.ts'
import { root } from '../house/source-files.ts'
import { systemReadFile } from '../../shared/read-file.ts'
import { parse, problemsOf, settingsFile, type Tree } from '../shared/config/settings.ts'
import { testKeys } from '../support/installation.ts'
import { namedFiles } from '../support/named-files.ts'
import { nginxRefusal } from '../support/nginx.ts'
import { settingsTrees } from '../support/settings-trees.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { modelSearch } from '../support/model-search.ts'

const files = namedFiles()
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

it('nginx starts with whatever settings are accepted, or the command names what it cannot do', async () => {
  let started = 0
  await fc.assert(
    fc.asyncProperty(settingsTrees(files), async (tree) => {
      const text = stringify(tree)
      const options = { readFile: systemReadFile, checks: partChecks }
      if (problemsOf(text, options).length > 0) return
      const config = parse(text, options)
      // Whether a name can be looked up is not for the settings to say.
      if ([config.agent, config.proxy].some(({ listen }) => isIP(listen.host) === 0)) return
      const page = config.proxy.routes.some(({ path }) => path === '/**') ? '' : ownPage
      try {
        expect(await refusalFor(config, page)).toBeUndefined()
        started++
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error
        for (const { path, remedy } of error.problems)
          expect([path, remedy]).toEqual([expect.any(String), expect.stringMatching(/\.$/)])
      }
    }),
    modelSearch(100),
  )
  expect(started).toBeGreaterThan(10)
})
