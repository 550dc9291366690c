import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { listening, start } from '../machine/process.ts'
import { ports, subfolder } from '../world.ts'
import type { Peer } from './peer.ts'
import { signedInTarget } from './sign-in.ts'

const provider = fileURLToPath(new URL('servers/authorization-server.ts', import.meta.url))
const modules = '/usr/lib/apache2/modules'
const loaded = ['mpm_event', 'authn_core', 'authz_core', 'authz_user', 'proxy', 'proxy_http', 'headers', 'auth_openidc']

/** Keeps the whole session in an encrypted cookie and gives the API the access token, as we do. */
export const apache: Peer = {
  name: 'apache',
  title: 'Apache mod_auth_openidc, session in the cookie',
  async start(world) {
    const port = ports.peer + 7
    const folder = subfolder(world, 'apache')
    const file = join(folder, 'apache.conf')
    writeFileSync(
      file,
      `ServerRoot ${folder}
ServerName 127.0.0.1
PidFile ${folder}/apache.pid
Listen 127.0.0.1:${port}
ErrorLog ${folder}/error.log
LogLevel error
${loaded.map((name) => `LoadModule ${name}_module ${modules}/mod_${name}.so`).join('\n')}
User www-data
Group www-data
StartServers 1
ServerLimit 1
ThreadsPerChild 96
MaxRequestWorkers 96
ThreadLimit 96
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 3600
OIDCProviderMetadataURL http://127.0.0.1:${ports.provider}/.well-known/openid-configuration
OIDCClientID spa
OIDCClientSecret correct-horse-battery-staple
OIDCRedirectURI http://127.0.0.1:${port}/api/callback
OIDCCryptoPassphrase bench-passphrase-0123456789abcdef
OIDCSessionType client-cookie
OIDCSessionCookieChunkSize 4000
OIDCSessionInactivityTimeout 28800
OIDCPassIDTokenAs claims
OIDCPassUserInfoAs claims
OIDCInfoHook access_token
<Location /api/>
  AuthType openid-connect
  Require valid-user
  RequestHeader set Authorization "Bearer %{OIDC_access_token}e" env=OIDC_access_token
  RequestHeader unset Cookie
  ProxyPass http://127.0.0.1:${ports.upstream}/api/ keepalive=On
</Location>
`,
    )
    const authorizationServer = start(process.execPath, [provider, String(ports.provider)], { core: 'load' })
    await listening(ports.provider, authorizationServer)
    const started = start('apache2', ['-D', 'FOREGROUND', '-f', file], { core: 'measured' })
    try {
      await listening(port, started)
      return { processes: [started], target: await signedInTarget(world, port) }
    } catch (error) {
      await started.stop()
      throw new Error(`${String(error)}\n${started.output()}`, { cause: error })
    } finally {
      await authorizationServer.stop()
    }
  },
}
