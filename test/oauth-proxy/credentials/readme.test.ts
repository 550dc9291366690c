import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { createCredentials } from '../../../oauth-proxy/credentials/credentials.ts'
import { createTokenRequests } from '../../../oauth-proxy/credentials/token-request.ts'
import type { Credential } from '../../../oauth-proxy/credentials/credential.ts'
import { gatewayDialects } from '../../../oauth-proxy/edges/gateway-dialects.ts'
import { identityHeaderNames } from '../../../oauth-proxy/identity-headers.ts'
import { createRouteTable } from '../../../oauth-proxy/routes/route-table.ts'
import { parseConfig } from '../../../shared/config/load.ts'
import { formatKeyRingFile } from '../../../shared/crypto/key-ring-file.ts'
import { TokenHandlerError } from '../../../shared/errors.ts'
import { createAuthorizationServer } from '../../../shared/oauth/authorization-server.ts'
import { testKeys } from '../../support/installation.ts'
import { createManualClock } from '../../support/manual-clock.ts'
import { createTokenEndpoint } from '../../support/token-endpoint.ts'

const page = readFileSync(new URL('../../../oauth-proxy/README.md', import.meta.url), 'utf8')
const section = (title: string) => page.split(/^## /m).find((text) => text.startsWith(title)) ?? ''

const issuer = 'https://login.example.com'
const settings = `
public_origin: https://www.example.com
authorization_server: { issuer: '${issuer}' }
client: { id: spa, authentication: client_secret_post, secret: correct-horse-battery-staple }
keys: { file: keys.json }
proxy:
  routes:
${/```yaml\n(.*?)```/s.exec(section('Credentials'))?.[1]?.replaceAll(/^/gm, '    ') ?? ''}
`
const config = parseConfig(settings, { env: {}, readFile: () => formatKeyRingFile(testKeys()) })

/** A token endpoint whose tokens say what was asked for. */
const transport = createTokenEndpoint(issuer, (form) => {
  const target = ['audience', 'resource', 'scope'].flatMap((name) =>
    form.has(name) ? [`${name}=${form.get(name)}`] : [],
  )
  const whose = form.has('subject_token') ? "the user's token exchanged" : "the application's token"
  return {
    body: {
      access_token: Buffer.from(`${whose} for \`${target.join(' ')}\``).toString('base64url'),
      issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      token_type: 'Bearer',
      expires_in: 300,
    },
  }
})

const clock = createManualClock()
const observe = { emit: () => undefined }
const authorizationServer = createAuthorizationServer({ config, clock, observe, transport })
const requests = createTokenRequests({ authorizationServer, settings: config.session, clock })
const credentials = createCredentials({ requests, clock, observe })
const routes = createRouteTable(config.proxy.routes)
const session = {
  accessToken: Buffer.from("the user's token").toString('base64url'),
  accessTokenExpiresAt: clock.nowSeconds() + 300,
}

/** A credential in the words of the page. */
function inWords(credential: Credential | undefined): string {
  if (credential === undefined) return 'nothing'
  if (credential.header !== 'authorization') return `\`${credential.header}: ${credential.value}\``
  return Buffer.from(credential.value.replace('Bearer ', ''), 'base64url').toString()
}

describe('the credentials of the page', () => {
  const rows = [...section('Credentials').matchAll(/^\| `GET (.*?)` \| (user|visitor) \| (.*?) \|$/gm)]
  it.each(rows.map(([, target = '', who = '', gets = '']) => [target, who, gets]))(
    '%s by a %s: %s',
    async (target, who, gets) => {
      const route = routes.match(target)?.[0]
      if (route === undefined) throw new Error('no such route')
      const told = await credentials
        .obtain(route, who === 'user' ? session : undefined, 'r1')
        .then(inWords, (error: unknown) =>
          error instanceof TokenHandlerError ? `${error.row.status} ${error.code}` : '',
        )
      expect(told.toLowerCase()).toBe(gets.toLowerCase())
    },
  )
  it('are all there', () => {
    expect(rows.length).toBe(9)
  })
})

describe('the forward-auth of the page', () => {
  const text = section('Forward-auth')
  it.each(Object.entries(gatewayDialects))('%s is read as the table says', (gateway, { method, host, target }) => {
    const row = new RegExp(`^\\| ${gateway} \\| (.*?) \\|`, 'm').exec(text)?.[1]
    const expected =
      method === 'of_the_question'
        ? '`:method` `host` and the path after `/oauth-proxy/verify`'
        : `\`${method}\` \`${host}\` \`${target}\``
    expect(row).toBe(expected)
  })
  it('names every header of a yes', () => {
    for (const name of identityHeaderNames) expect(text.toLowerCase()).toContain(`| \`${name}\` |`)
  })
})
