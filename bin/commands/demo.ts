import { type Command, InvalidArgumentError } from 'commander'
import { CommandError } from '../failure.ts'
import { followSignals } from '../signals.ts'
import type { Terminal } from '../terminal.ts'

/** `demo`: the whole pattern on this machine, with an embedded OpenID Provider. */
export function addDemoCommand(program: Command, { out }: Terminal): void {
  program
    .command('demo')
    .description(
      'Run everything on this machine, with an example app and its own OpenID Provider; in the repository only.',
    )
    .option('-p, --port <number>', 'port of the app', parsePort, 3000)
    .option('--plain-cookies', 'for Safari, which keeps no Secure cookies on http://localhost')
    .action(async (options: { port: number; plainCookies?: boolean }) => {
      const follow = followSignals()
      const demo = await start(options)
      const { demoCode, demoPassword, demoUsers } = await import('../../spa-example/openid-provider.ts')
      const names = demoUsers.map(({ username }) => username).join(' or ')
      out(welcome({ ...demo, who: `${names}, password ${demoPassword}, code ${demoCode} where one is asked for` }))
      follow({
        stop: async () => {
          out('\nStopping.')
          await demo.close()
        },
        reload: () => undefined,
      })
    })
}

async function start({ port, plainCookies = false }: { port: number; plainCookies?: boolean }) {
  try {
    const { startDemo } = await import('../../spa-example/demo.ts')
    return await startDemo({ port, plainCookies })
  } catch (error) {
    if (!(error instanceof Error) || !('code' in error)) throw error
    if (error.code === 'ERR_MODULE_NOT_FOUND') {
      throw new CommandError('The demo is part of the repository, not of the package. There, run: npm ci && npm start')
    }
    if (error.code === 'EADDRINUSE') {
      throw new CommandError(`Port ${port} is in use. Choose another: npm start -- --port ${port + 1}`)
    }
    if (error.code === 'EACCES') {
      throw new CommandError(
        `This user may not listen on port ${port}. Choose one above 1023: npm start -- --port 3000`,
      )
    }
    throw error
  }
}

function welcome({ appOrigin, issuer, who }: { appOrigin: string; issuer: string; who: string }): string {
  return `
  The Token Handler demo is ready.

    Open      ${appOrigin}
    Sign in   ${who}
    at        ${issuer}, which for browsers is another site, as in real life

  Safari keeps no Secure cookies on http://localhost: there, start with npm start -- --plain-cookies
  Ctrl-C stops everything. Nothing was written to disk.
`
}

function parsePort(text: string): number {
  const port = Number(text)
  if (/^\d{1,5}$/.test(text) && port <= 65_535) return port
  throw new InvalidArgumentError('A port is a number from 0 to 65535.')
}
