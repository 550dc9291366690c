import type { Config } from '../shared/config/schema.ts'
import { failureCode } from '../shared/failure-code.ts'
import type { RunningServer } from '../shared/http/serve.ts'
import type { Listen } from '../shared/http/start-listening.ts'
import { CommandError, exitConfig, exitFailure } from './failure.ts'

type Place = 'agent.listen' | 'proxy.listen' | 'operations.listen'

/** Starts a server where `place` says; a port or socket that cannot be had becomes a CommandError with its remedy. */
export async function listening(
  place: Place,
  config: Config,
  start: (listen: Listen) => Promise<RunningServer>,
): Promise<RunningServer> {
  const { listen }: { readonly listen: Listen } = {
    'agent.listen': config.agent,
    'proxy.listen': config.proxy,
    'operations.listen': config.operations,
  }[place]
  try {
    return await start(listen)
  } catch (error) {
    const code = failureCode(error) ?? ''
    const remedy =
      listen.socket === undefined ? portRemedies[code]?.(place, listen) : socketRemedies[code]?.(place, listen.socket)
    if (remedy === undefined) throw error
    throw new CommandError(remedy, noAddress.has(code) ? exitConfig : exitFailure)
  }
}

/** Only a change of the settings helps here. */
const noAddress: ReadonlySet<string> = new Set(['EADDRNOTAVAIL', 'ENOTFOUND'])

const noDescriptor = (place: Place): string =>
  `No file descriptor is left for ${place}. Raise the limit of open files (ulimit -n, LimitNOFILE of systemd).`

const portRemedies: Readonly<Record<string, (place: Place, listen: Listen) => string>> = {
  EADDRINUSE: (place, { host, port }) =>
    `Port ${port} on ${host} is in use. Stop what uses it, or change ${place}.port.${
      place === 'operations.listen' ? ' Agent and proxy on one machine need one each, for instance "${PORT}".' : ''
    }`,
  EACCES: (place, { port }) => `This user may not listen on port ${port}. Choose one above 1023 as ${place}.port.`,
  EADDRNOTAVAIL: (place, { host }) => `${host} is not an address of this machine. Change ${place}.host.`,
  ENOTFOUND: (place, { host }) => `${host} is not an address of this machine. Change ${place}.host.`,
  EAI_AGAIN: (place, { host }) => `${host} cannot be looked up now. Check the name service, or change ${place}.host.`,
  EMFILE: noDescriptor,
  ENFILE: noDescriptor,
}

const socketRemedies: Readonly<Record<string, (place: Place, socket: string) => string>> = {
  EADDRINUSE: (place, socket) => `${socket} is in use. Stop what uses it, or change ${place}.socket.`,
  // Also reported for a folder that is missing.
  EACCES: (place, socket) =>
    `${socket} cannot be made. Check that its folder is there and that this user may write in it, or change ${place}.socket.`,
  EMFILE: noDescriptor,
  ENFILE: noDescriptor,
}
