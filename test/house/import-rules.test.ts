import { describe, expect, it } from 'vitest'
import { filesBelow, type Import, importsOf } from './source-files.ts'

const product = ['bin', 'oauth-agent', 'oauth-proxy', 'shared', 'spa-client']
const imports = filesBelow(product, ['.ts']).flatMap(importsOf)

const under =
  (...folders: string[]) =>
  (path: string): boolean =>
    folders.some((folder) => path === folder || path.startsWith(folder.endsWith('/') ? folder : `${folder}/`))

/** Imports that break a rule, as `file → target`. */
function offenders(from: (file: string) => boolean, to: (target: string) => boolean): string[] {
  return imports
    .filter((each: Import) => from(each.file) && to(each.target))
    .map(({ file, target }) => `${file} → ${target}`)
}

const sides = ['oauth-agent', 'oauth-proxy', 'spa-client', 'spa-example', 'bin', 'test', 'bench', 'deploy']

describe('who may import whom', () => {
  it('shared/ knows neither side', () => {
    expect(offenders(under('shared'), under(...sides))).toEqual([])
  })
  it('agent and proxy never meet', () => {
    expect(offenders(under('oauth-agent'), under(...sides.filter((side) => side !== 'oauth-agent')))).toEqual([])
    expect(offenders(under('oauth-proxy'), under(...sides.filter((side) => side !== 'oauth-proxy')))).toEqual([])
  })
  it('the browser client stands alone', () => {
    expect(offenders(under('spa-client'), (target) => !under('spa-client')(target))).toEqual([])
  })
  it('nothing of the product imports tests or benches', () => {
    expect(offenders(under(...product), under('test', 'bench'))).toEqual([])
  })

  const ground = ['error-table', 'errors', 'secret', 'clock', 'json-object', 'failure-code', 'read-file'].map(
    (name) => `shared/${name}.ts`,
  )
  const middle = ['shared/config', 'shared/crypto', 'shared/oauth', 'shared/observe', 'shared/store']
  const top = ['shared/cookies', 'shared/http']
  it('floors of shared/ are only ever descended', () => {
    expect(offenders(under(...ground), under(...middle, ...top))).toEqual([])
    expect(offenders(under(...middle), under(...top))).toEqual([])
  })
  it('config and crypto know no protocol, stores or sinks of events, only their list', () => {
    const reads = (target: string) => under('shared/observe')(target) && target !== 'shared/observe/events.ts'
    const isUnknown = (target: string) => under('shared/oauth', 'shared/store')(target) || reads(target)
    expect(offenders(under('shared/config', 'shared/crypto'), isUnknown)).toEqual([])
  })
  it('protocol, policy and crypto code sees no HTTP server', () => {
    const pure = under(
      'oauth-agent/flows',
      'oauth-proxy/routes',
      'oauth-proxy/credentials',
      'shared/crypto',
      'shared/cookies',
      'shared/oauth',
    )
    expect(offenders(pure, under('koa', '@koa/router', 'koa-body', 'node:http', 'node:https'))).toEqual([])
  })
})

describe('one door per library', () => {
  const doors: Record<string, (file: string) => boolean> = {
    undici: under('oauth-proxy/forward', 'shared/oauth/transport.ts', 'shared/oauth/tunnel.ts'),
    'http-proxy': under('oauth-proxy/forward'),
    'koa-body': under('oauth-agent/agent.ts'),
    koa: under('oauth-agent'),
    '@koa/router': under('oauth-agent'),
    jose: under('shared/crypto', 'shared/oauth', 'oauth-agent/flows', 'oauth-proxy/credentials'),
    oauth4webapi: under('shared/oauth', 'oauth-agent/flows', 'oauth-proxy/credentials'),
    zod: under('shared/config'),
    yaml: under('shared/config', 'bin'),
    pino: under('shared/observe'),
    'prom-client': under('shared/observe'),
    '@opentelemetry/api': under('shared/observe'),
    '@opentelemetry/exporter-trace-otlp-http': under('shared/observe'),
    '@opentelemetry/resources': under('shared/observe'),
    '@opentelemetry/sdk-trace': under('shared/observe'),
    '@redis/client': under('shared/store'),
    'rate-limiter-flexible': under('shared/http'),
    commander: under('bin'),
    'ipaddr.js': under('shared/http', 'shared/config'),
    'node:cluster': under('bin'),
  }
  it.each(Object.entries(doors))('%s', (library, allowed) => {
    expect(
      offenders(
        (file) => !allowed(file),
        (target) => target === library,
      ),
    ).toEqual([])
  })
  it('only routes of the agent write cookies', () => {
    const writers = under('oauth-agent/routes', 'oauth-agent/agent.ts')
    expect(
      offenders(
        (file) => !writers(file),
        (target) => target === 'shared/cookies/write.ts',
      ),
    ).toEqual([])
    // What judges the settings only counts octets.
    expect(
      offenders(
        (file) => file !== 'shared/cookies/write.ts' && file !== 'bin/part-checks.ts',
        (target) => target === 'shared/cookies/set-cookie.ts',
      ),
    ).toEqual([])
  })
})
