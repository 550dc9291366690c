import { fileURLToPath } from 'node:url'
import { listening, start } from '../machine/process.ts'
import { ports } from '../world.ts'
import type { Peer } from './peer.ts'
import { signedInTarget } from './sign-in.ts'

const provider = fileURLToPath(new URL('servers/authorization-server.ts', import.meta.url))

/** Keeps the session in encrypted cookies and gives the API the access token in a header of its own. */
export const oauth2Proxy: Peer = {
  name: 'oauth2-proxy',
  title: 'oauth2-proxy, session in the cookie',
  async start(world) {
    const port = ports.peer + 8
    const authorizationServer = start(process.execPath, [provider, String(ports.provider)], { core: 'load' })
    try {
      await listening(ports.provider, authorizationServer)
      const options = {
        provider: 'oidc',
        'oidc-issuer-url': `http://127.0.0.1:${ports.provider}`,
        'client-id': 'spa',
        'client-secret': 'correct-horse-battery-staple',
        'cookie-secret': '0123456789abcdef0123456789abcdef',
        'cookie-secure': 'false',
        'http-address': `127.0.0.1:${port}`,
        upstream: `http://127.0.0.1:${ports.upstream}/`,
        'redirect-url': `http://127.0.0.1:${port}/oauth2/callback`,
        'email-domain': '*',
        'code-challenge-method': 'S256',
        'skip-provider-button': 'true',
        'pass-access-token': 'true',
        'request-logging': 'false',
        'auth-logging': 'false',
        'standard-logging': 'false',
      }
      const args = Object.entries(options).map(([name, value]) => `--${name}=${value}`)
      const started = start('oauth2-proxy', args, { core: 'measured', env: { GOMAXPROCS: '1' } })
      try {
        await listening(port, started)
        return { processes: [started], target: await signedInTarget(world, port) }
      } catch (error) {
        await started.stop()
        throw new Error(`${String(error)}\n${started.output()}`, { cause: error })
      }
    } finally {
      await authorizationServer.stop()
    }
  },
}
