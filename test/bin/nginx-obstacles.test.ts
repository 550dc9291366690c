import { describe, expect, it } from 'vitest'
import { configurationFor } from '../../bin/nginx/for-settings.ts'
import { ConfigError, type Problem } from '../../shared/config/problem.ts'
import { createCertificate } from '../support/certificate.ts'
import { parse, settingsFile, type Tree } from '../shared/config/settings.ts'

const { certificate, privateKey } = createCertificate({ name: 'proxy' })
const pems = (path: string): string => (path.endsWith('.key') ? privateKey : certificate)

function problemsFor(change: Tree): readonly Problem[] {
  const config = parse(settingsFile(change), { readFile: pems })
  try {
    configurationFor(config)
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
}

const routes = (...changes: readonly Tree[]): Tree => ({
  proxy: { routes: changes.map((change) => ({ path: '/api', upstream: 'https://api.internal', ...change })) },
})
const shown = (name: string): Tree => ({
  client_certificate_file: `/run/${name}.crt`,
  client_private_key_file: `/run/${name}.key`,
})

describe('what agent and proxy can do and nginx cannot', () => {
  it.each<[string, Tree, readonly string[]]>([
    [
      'TLS',
      { agent: { listen: { certificate_file: '/a.crt', private_key_file: '/a.key', port: 0 } } },
      ['agent.listen.certificate_file'],
    ],
    ['a port that is not known yet', { proxy: { listen: { port: 0 } } }, ['proxy.listen.port']],
    ['the interface of an address', { agent: { listen: { host: 'fe80::1%eth0' } } }, ['agent.listen.host']],
    ['a long agent path', { agent: { path: `/${'a'.repeat(4000)}` } }, ['agent.path']],
    ['a long path', routes({}, { path: `/${'a'.repeat(4000)}` }), ['proxy.routes[1].path']],
    ['a path that grows long as an expression', routes({ path: '/*'.repeat(700) }), ['proxy.routes[0].path']],
    [
      'two routes of a path where nginx answers for itself',
      routes(
        { path: '/token-handler-failed/400', methods: ['PUT'] },
        { path: '/token-handler-failed/400', methods: ['GET'] },
      ),
      ['proxy.routes[0].path', 'proxy.routes[1].path'],
    ],
    [
      'files whose names look like variables',
      routes(shown('a$b')),
      ['proxy.routes[0].client_certificate_file', 'proxy.routes[0].client_private_key_file'],
    ],
  ])('is named with its place and a remedy: %s', (_, change, paths) => {
    const found = problemsFor(change)
    expect(found.map(({ path }) => path)).toEqual(paths)
    for (const { remedy } of found) expect(remedy).toMatch(/^[A-Z].+\.$/)
  })

  it.each<[string, Tree]>([
    ['a socket', { agent: { listen: { socket: '/run/a%$.sock' } }, operations: { trusted_proxies: ['unix:'] } }],
    ['a path of 3,900 characters', routes({ path: `/${'a'.repeat(3900)}` })],
    ['a path that only begins like those of nginx', routes({ path: '/token-handler-failed-not' })],
    ['such names of files where the proxy asks the API', routes({ ...shown('a$b'), anonymous: 'client_credentials' })],
  ])('is not %s', (_, change) => expect(problemsFor(change)).toEqual([]))
})
