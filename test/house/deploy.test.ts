import { dirname } from 'node:path'
import { rootCertificates } from 'node:tls'
import { describe, expect, it } from 'vitest'
import { parse as parseYaml } from 'yaml'
import { exitConfig } from '../../bin/failure.ts'
import { createProgram } from '../../bin/program.ts'
import { createRouteTable } from '../../oauth-proxy/routes/route-table.ts'
import { parseConfig } from '../../shared/config/load.ts'
import { filesBelow, read } from './source-files.ts'

/** Files that the settings name and that are made at the place of deployment. */
function readFile(path: string): string {
  if (/store(?:-|\/)url$/.test(path)) return 'redis://token-handler:example@valkey:6379'
  if (path.endsWith('.pem')) return String(rootCertificates[0])
  return 'a-secret-of-forty-characters-or-very-near'
}

const settings = filesBelow(['deploy'], ['token-handler.yaml'])
const parse = (path: string) => parseConfig(read(path), { env: {}, readFile, file: path })
const places = ['Dockerfile', 'docker-compose.yml', ...filesBelow(['deploy/kubernetes'], ['.yaml'])].filter((path) =>
  /^\s*(?:FROM|image:)/m.test(read(path)),
)

interface Kustomization {
  readonly namespace: string
  readonly resources: readonly string[]
  readonly configMapGenerator: readonly object[]
  readonly images: readonly object[]
}
interface Deployment {
  readonly spec: {
    readonly template: {
      readonly metadata: { readonly annotations: object }
      readonly spec: { readonly containers: readonly Container[] }
    }
  }
}
interface Container {
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[]
  readonly readinessProbe: { periodSeconds?: number; timeoutSeconds?: number; failureThreshold?: number }
  readonly resources: { readonly requests: { readonly memory: string } }
}
const overlays = filesBelow(['deploy/kubernetes/overlays'], ['kustomization.yaml']).map(dirname)

describe('files for deployment', () => {
  it.each(settings)('%s is accepted by config check', (path) => {
    expect(() => parse(path)).not.toThrow()
  })
  it('there is one for compose and one for each kind of cluster', () => {
    expect(settings).toHaveLength(3)
  })
  it.each(places)('%s names no image without its exact version', (path) => {
    const images = [...read(path).matchAll(/^\s*(?:FROM|image:)\s+(\S+)/gm)].map((match) => String(match[1]))
    const own = /^(?:build|example|production-dependencies|token-handler(?:-\w+:local|:local)?)$/
    expect(images.filter((image) => !own.test(image) && !/:\d+\.\d+\.\d+(?:-[a-z.\d-]+)?$/.test(image))).toEqual([])
  })
  it.each(overlays)('%s is complete: a namespace, settings of its own and an exact image', (overlay) => {
    const kustomization = parseYaml(read(`${overlay}/kustomization.yaml`)) as Kustomization
    const namespace = parseYaml(read(`${overlay}/namespace.yaml`)) as { metadata: { name: string } }
    expect(kustomization.resources).toContain('namespace.yaml')
    expect(namespace.metadata.name).toBe(kustomization.namespace)
    expect(kustomization.configMapGenerator).toEqual([{ name: 'token-handler', files: ['token-handler.yaml'] }])
    expect(kustomization.images).toEqual([
      { name: 'token-handler', newName: expect.any(String), newTag: expect.stringMatching(/^\d+\.\d+\.\d+$/) },
    ])
  })
  it('secrets are made in the namespace into which the overlay goes', () => {
    const [production, staging] = ['production', 'staging'].map((overlay) => {
      const path = `deploy/kubernetes/overlays/${overlay}/kustomization.yaml`
      return (parseYaml(read(path)) as Kustomization).namespace
    })
    const docs = read('docs/deployment.md')
    const commands = [...docs.matchAll(/^kubectl -n (\S+) create secret generic (\S+) /gm)].map(([, ...words]) => words)
    // Two are made, one is replaced.
    const agentAndProxy = ['token-handler-agent', 'token-handler-proxy', 'token-handler-agent']
    expect(commands).toEqual([...agentAndProxy.map((name) => [production, name]), [staging, 'valkey']])
    expect(docs.match(/create secret/g)).toHaveLength(commands.length)
  })
  it('the image runs as a numbered user that is not root', () => {
    const users = [...read('Dockerfile').matchAll(/^USER (.*)$/gm)].map((match) => Number(match[1]?.split(':')[0]))
    expect(users.length).toBeGreaterThan(0)
    expect(users.filter((user) => !(user > 0))).toEqual([])
  })
  it('containers are given longer to end than the processes take', () => {
    const { shutdownWaitSeconds, shutdownDrainSeconds } = parse('deploy/compose/token-handler.yaml').operations
    const needed = shutdownWaitSeconds + shutdownDrainSeconds
    for (const side of ['agent', 'proxy']) {
      const seconds = /terminationGracePeriodSeconds: (\d+)/.exec(read(`deploy/kubernetes/base/${side}.yaml`))?.[1]
      expect(Number(seconds)).toBeGreaterThan(needed)
    }
    expect(Number(/stop_grace_period: (\d+)s/.exec(read('docker-compose.yml'))?.[1])).toBeGreaterThan(needed)
  })
  it.each(['agent', 'proxy'])('a %s that is not ready is left alone, not restarted', (side) => {
    const probes = [...read(`deploy/kubernetes/base/${side}.yaml`).matchAll(/(\w+Probe):\s+httpGet:\s+path: (\S+)/g)]
    expect(probes.map(([, probe, path]) => `${probe} ${path}`)).toEqual([
      'startupProbe /livez',
      'readinessProbe /readyz',
      'livenessProbe /livez',
    ])
  })
  describe.each(['agent', 'proxy'])('the pods of the %s', (side) => {
    const { metadata, spec } = (parseYaml(read(`deploy/kubernetes/base/${side}.yaml`)) as Deployment).spec.template
    const [container] = spec.containers
    it('stay in service through one slow answer, and leave it before they stop listening', () => {
      const { periodSeconds = 0, timeoutSeconds, failureThreshold = 0 } = container?.readinessProbe ?? {}
      expect(failureThreshold).toBeGreaterThan(1)
      expect(timeoutSeconds).toBeGreaterThan(1)
      const { shutdownWaitSeconds } = parse('deploy/kubernetes/overlays/production/token-handler.yaml').operations
      expect(periodSeconds * failureThreshold).toBeLessThan(shutdownWaitSeconds)
    })
    it('ask for the memory that the bench has measured', () => {
      const [, measured] = /\| peak memory while 1 GB passes \|[^|]*\| (\d+) MB/.exec(read('bench/README.md')) ?? []
      const [, requested] = /^(\d+)Mi$/.exec(container?.resources.requests.memory ?? '') ?? []
      expect(Number(measured)).toBeGreaterThan(0)
      expect(Number(requested)).toBeGreaterThan(Number(measured))
    })
    it('tell Prometheus where their metrics are', () => {
      const operations = container?.ports.find(({ name }) => name === 'operations')?.containerPort
      expect(metadata.annotations).toEqual({
        'prometheus.io/scrape': 'true',
        'prometheus.io/port': String(operations),
        'prometheus.io/path': '/metrics',
      })
    })
  })
  it('what may go to every IPv4 address may go to every IPv6 address', () => {
    const policies = read('deploy/kubernetes/base/network-policies.yaml')
    const [v4, v6] = ['0.0.0.0/0', '::/0'].map((range) => policies.split(`cidr: ${range}\n`).length - 1)
    expect(v4).toBe(2)
    expect(v6).toBe(v4)
  })
  describe('the systemd unit', () => {
    const path = 'deploy/systemd/token-handler.service'
    const unit = read(path)
    const valueOf = (name: string) => new RegExp(`^${name}=(.*)$`, 'm').exec(unit)?.[1]
    const docs = read('docs/deployment.md')
    it('gives the process longer to end than it takes, and starts it again only where that can help', () => {
      const { shutdownWaitSeconds, shutdownDrainSeconds } = parse('deploy/compose/token-handler.yaml').operations
      expect(Number(valueOf('TimeoutStopSec'))).toBeGreaterThan(shutdownWaitSeconds + shutdownDrainSeconds)
      expect(valueOf('Restart')).toBe('on-failure')
      expect(valueOf('RestartPreventExitStatus')).toBe(String(exitConfig))
    })
    it('runs without root, capabilities and a writable system', () => {
      expect(valueOf('User')).toBe('token-handler')
      expect(valueOf('CapabilityBoundingSet')).toBe('')
      expect(valueOf('NoNewPrivileges')).toBe('true')
      expect(valueOf('ProtectSystem')).toBe('strict')
    })
    it('makes the folder of the socket and hands over the secret that the page names', () => {
      expect(docs).toContain(`socket: /run/${valueOf('RuntimeDirectory')}/proxy.sock`)
      expect(docs).toContain(`secret_file: \${CREDENTIALS_DIRECTORY}/${valueOf('LoadCredential')?.split(':')[0]}`)
    })
    it('starts a command that exists', () => {
      const [, , ...words] = valueOf('ExecStart')?.split(' ') ?? []
      expect(words).toEqual(['/etc/token-handler/token-handler.yaml', 'serve'])
      expect(
        createProgram({ out: () => {}, err: () => {}, exitWith: () => {} }).commands.map((each) => each.name()),
      ).toContain('serve')
    })
  })
  it('the example in compose reaches every API that its page calls', () => {
    const { routes } = parse('deploy/compose/token-handler.yaml').proxy
    const table = createRouteTable(routes)
    const called = filesBelow(['spa-example/app/src/cards'], ['.ts']).flatMap(
      (path) => read(path).match(/\/api\/[a-z/]+/g) ?? [],
    )
    expect(called.length).toBeGreaterThan(8)
    expect(called.filter((path) => table.match(path) === undefined)).toEqual([])
  })
  it('BBA-25, BCP-13 of the compose file let nothing into its pages from elsewhere, and no code out', () => {
    const [, pages = ''] = read('deploy/compose/nginx.conf').split('location / {')
    const headers = [...pages.matchAll(/add_header (\S+) (?:"([^"]*)"|(\S+)) always;/g)].map(
      ([, name, quoted, plain]) => [name, quoted ?? plain],
    )
    expect(Object.fromEntries(headers)).toMatchObject({
      'Referrer-Policy': 'no-referrer',
      'X-Content-Type-Options': 'nosniff',
      'Cross-Origin-Resource-Policy': 'same-origin',
    })
    const policy = String(Object.fromEntries(headers)['Content-Security-Policy']).split('; ')
    const rules = [
      "default-src 'none'",
      "script-src 'self'",
      "style-src 'self'",
      "base-uri 'none'",
      "frame-ancestors 'none'",
    ]
    expect(policy).toEqual(expect.arrayContaining(rules))
    expect(policy.join()).not.toContain('unsafe')
  })

  it('nginx leaves the length of bodies to the proxy, which knows it for each route', () => {
    const [, api = ''] = read('deploy/compose/nginx.conf').split('location /api/ {')
    expect(api).toMatch(/^[^}]*client_max_body_size 0;/)
    expect(read('deploy/kubernetes/overlays/production/ingress.yaml')).toContain('proxy-body-size: "0"')
  })
  it('nginx that asks tells the API the host that was decided on, with its port', () => {
    const conf = read('deploy/nginx/forward-auth.conf')
    const valueOf = (header: string) => new RegExp(`proxy_set_header ${header} (\\$\\S+);`).exec(conf)?.[1]
    expect(valueOf('X-Forwarded-Host')).toBe(valueOf('X-Original-Host'))
  })
  it('nginx lets go of a connection before agent and proxy do, also before those that are told to stop', () => {
    const nginx = [...read('deploy/compose/nginx.conf').matchAll(/keepalive_timeout (\d+)s/g)].map((match) =>
      Number(match[1]),
    )
    const serve = /keepAliveMs: ([\d_]+)/.exec(read('shared/http/server-limits.ts'))?.[1]?.replaceAll('_', '')
    expect(nginx).toHaveLength(2)
    expect(Math.max(...nginx) * 1000).toBeLessThan(Number(serve))
    expect(Math.max(...nginx)).toBeLessThan(parse('deploy/compose/token-handler.yaml').operations.shutdownWaitSeconds)
  })
})
