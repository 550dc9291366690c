import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { demand, run } from './command.ts'
import { freePort } from './free-port.ts'
import type { Person } from './topology/browser.ts'

/** A Spring Authorization Server of its own, in memory, on loopback. */
export interface Spring {
  readonly issuer: string
  stop(): Promise<void>
}

/** The applications that sign users in here, and the one user there is. */
export interface SpringOptions {
  readonly clients: readonly SpringClient[]
  readonly person: Person
}

/** One application, and where it runs. */
interface SpringClient {
  readonly clientId: string
  readonly publicOrigin: string
}

const boot = 'org.springframework.boot.autoconfigure'
/** What Spring Boot sets up for an application without a line of its own; in this order, because each looks for what came before. */
const sources = [
  'web.servlet.ServletWebServerFactoryAutoConfiguration',
  'web.servlet.DispatcherServletAutoConfiguration',
  'http.HttpMessageConvertersAutoConfiguration',
  'jackson.JacksonAutoConfiguration',
  'web.servlet.WebMvcAutoConfiguration',
  'web.servlet.error.ErrorMvcAutoConfiguration',
  'security.oauth2.server.servlet.OAuth2AuthorizationServerAutoConfiguration',
  'security.servlet.SecurityAutoConfiguration',
  'security.servlet.UserDetailsServiceAutoConfiguration',
  'security.oauth2.server.servlet.OAuth2AuthorizationServerJwtAutoConfiguration',
  'security.servlet.SecurityFilterAutoConfiguration',
].map((name) => `${boot}.${name}`)

/** Fetches Spring Authorization Server once through Maven and starts it; throws an error that says what is missing. */
export async function startSpring(options: SpringOptions): Promise<Spring> {
  demand('java', ['-version'], 'apt-get install openjdk-17-jre-headless')
  demand('mvn', ['-version'], 'apt-get install maven')
  const port = await freePort()
  const issuer = `http://127.0.0.1:${port}`
  const folder = await mkdtemp(join(tmpdir(), 'token-handler-spring-'))
  const child = spawn(
    'java',
    [
      '-Xmx256m',
      '-XX:TieredStopAtLevel=1',
      // Tomcat's own folders stay where it is killed.
      `-Djava.io.tmpdir=${folder}`,
      '-cp',
      await classPath(folder),
      'org.springframework.boot.SpringApplication',
      `--spring.main.sources=${sources.join(',')}`,
    ],
    {
      env: { ...process.env, SPRING_APPLICATION_JSON: JSON.stringify(settings(options, issuer, port)) },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
  let log = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text: Buffer) => (log += text.toString('utf8')))
  const exit = once(child, 'exit')
  const stop = async (): Promise<void> => {
    child.kill('SIGKILL')
    await exit
    await rm(folder, { recursive: true })
  }
  for (;;) {
    if (child.exitCode !== null) {
      await stop()
      throw new Error(`Spring Authorization Server ended:\n${log}`)
    }
    const answer = await fetch(`${issuer}/.well-known/openid-configuration`).catch(() => undefined)
    if (answer?.ok === true) break
    await pause(250)
  }
  return { issuer, stop }
}

function settings({ clients, person }: SpringOptions, issuer: string, port: number): object {
  const client = Object.fromEntries(clients.map((each) => [each.clientId, clientSettings(each)]))
  return {
    server: { address: '127.0.0.1', port },
    spring: {
      security: {
        user: { name: person.username, password: person.password },
        oauth2: { authorizationserver: { issuer, client } },
      },
    },
  }
}

/** A client with a key instead of a secret, PKCE, and refresh tokens that rotate without grace. */
function clientSettings({ publicOrigin, clientId }: SpringClient): object {
  const registration = {
    'client-id': clientId,
    'client-authentication-methods': ['private_key_jwt'],
    'authorization-grant-types': ['authorization_code', 'refresh_token'],
    'redirect-uris': [`${publicOrigin}/callback`],
    'post-logout-redirect-uris': [`${publicOrigin}/`],
    scopes: ['openid', 'profile'],
  }
  return {
    registration,
    'require-proof-key': true,
    'jwk-set-uri': `${publicOrigin}/oauth-agent/jwks`,
    'token-endpoint-authentication-signing-algorithm': 'ES256',
    token: { 'access-token-time-to-live': '60s', 'reuse-refresh-tokens': false },
  }
}

/** The libraries, where Maven keeps them; `folder` is for the list of them. */
async function classPath(folder: string): Promise<string> {
  const pom = fileURLToPath(new URL('spring/pom.xml', import.meta.url))
  const goal = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:build-classpath'
  run('mvn', ['-q', '-B', '-f', pom, goal, `-Dmdep.outputFile=${join(folder, 'classpath')}`])
  return readFile(join(folder, 'classpath'), 'utf8')
}
