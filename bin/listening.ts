import type { Config } from '../shared/config/schema.ts'
import type { RunningServer } from '../shared/http/serve.ts'
import { CommandError } from './failure.ts'

type Place = 'agent.listen' | 'proxy.listen' | 'operations.listen'

/** Starts a server where `place` says; a port that cannot be had becomes a CommandError with its remedy. */
export async function listening(
  place: Place,
  config: Config,
  start: (listen: { readonly host: string; readonly port: number }) => Promise<RunningServer>,
): Promise<RunningServer> {
  const { listen } = {
    'agent.listen': config.agent,
    'proxy.listen': config.proxy,
    'operations.listen': config.operations,
  }[place]
  try {
    return await start(listen)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : ''
    const remedy = remedies[code]?.(place, listen)
    if (remedy === undefined) throw error
    throw new CommandError(remedy)
  }
}

const remedies: Readonly<
  Record<string, (place: Place, listen: { readonly host: string; readonly port: number }) => string>
> = {
  EADDRINUSE: (place, { host, port }) =>
    `Port ${port} on ${host} is in use. Stop what uses it, or change ${place}.port.${
      place === 'operations.listen' ? ' Agent and proxy on one machine need one each, for instance "${PORT}".' : ''
    }`,
  EACCES: (place, { port }) => `This user may not listen on port ${port}. Choose one above 1023 as ${place}.port.`,
  EADDRNOTAVAIL: (place, { host }) => `${host} is not an address of this machine. Change ${place}.host.`,
  ENOTFOUND: (place, { host }) => `${host} is not an address of this machine. Change ${place}.host.`,
}
