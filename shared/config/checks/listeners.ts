import { isIP } from 'node:net'
import type { CrossProblem } from './check.ts'
import type { Config } from '../schema.ts'
import { listenDefaults, maxSocketPathBytes, unixPeer } from '../values.ts'

/** Where processes listen: sockets, hosts and ports. */
export function* listenerChecks(config: Config): Iterable<CrossProblem> {
  yield* socketChecks(config)
  yield* hostChecks(config)
  yield* portChecks(config)
}

/** Whoever connects through a socket is a gateway: without its word there would be no address of any client. */
function* socketChecks({ agent, proxy, operations }: Config): Iterable<CrossProblem> {
  const { host, ports } = listenDefaults
  for (const [name, { listen }, port] of [
    ['agent', agent, ports.agent],
    ['proxy', proxy, ports.proxy],
  ] as const) {
    if (listen.socket === undefined) continue
    const path = `${name}.listen.socket`
    if (listen.host !== host || listen.port !== port) {
      yield {
        path,
        problem: 'is set as well as host or port, so it is not clear which one counts',
        remedy: `Keep the socket, or ${name}.listen.host and ${name}.listen.port.`,
      }
    }
    if (Buffer.byteLength(listen.socket) > maxSocketPathBytes) {
      yield {
        path,
        problem: `is longer than ${maxSocketPathBytes} bytes, which is more than systems allow`,
        remedy: 'Choose a shorter path, such as /run/token-handler/proxy.sock.',
      }
    }
    if (!operations.trustedProxies.includes(unixPeer)) {
      yield {
        path: 'operations.trusted_proxies',
        problem: `does not list "${unixPeer}", so all clients would seem to be one`,
        remedy: `Add "${unixPeer}", and let the gateway set X-Forwarded-For.`,
        given: [path],
      }
    }
  }
  if (
    proxy.listen.socket !== undefined &&
    proxy.forwardAuth.gateway !== 'off' &&
    proxy.forwardAuth.peers.length > 0 &&
    !proxy.forwardAuth.peers.includes(unixPeer)
  ) {
    yield {
      path: 'proxy.forward_auth.peers',
      problem: `does not list "${unixPeer}", so nobody who comes through the socket may ask`,
      remedy: `Add "${unixPeer}".`,
      given: ['proxy.listen.socket', 'proxy.forward_auth.gateway'],
    }
  }
}

/** Where a process cannot listen on any machine; an empty host would mean every address. */
function* hostChecks({ agent, proxy, operations }: Config): Iterable<CrossProblem> {
  for (const [name, { host }, remedy] of [
    ['agent', agent.listen, 'Write the path of a Unix socket as agent.listen.socket.'],
    ['proxy', proxy.listen, 'Write the path of a Unix socket as proxy.listen.socket.'],
    ['operations', operations.listen, 'Write an address; operations has no Unix socket.'],
  ] as const) {
    if (isIP(host) !== 0 || isHostName(host)) continue
    yield {
      path: `${name}.listen.host`,
      problem: `is neither an address nor a host name, but ${JSON.stringify(host.slice(0, 50))}`,
      remedy: /^(?:unix:|[./])/.test(host) ? remedy : 'Write an address such as 127.0.0.1 or ::1, or a host name.',
    }
  }
}

/** RFC 1123 §2.1: the last label of a name is never a number, so that no address is taken for one. */
function isHostName(text: string): boolean {
  const label = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/i
  const labels = text.replace(/\.$/, '').split('.')
  return text.length <= 254 && labels.every((part) => label.test(part)) && !/^[0-9]+$/.test(labels.at(-1) ?? '')
}

function* portChecks({ agent, proxy, operations }: Config): Iterable<CrossProblem> {
  for (const [name, { listen }] of Object.entries({ agent, proxy })) {
    if (listen.socket !== undefined || listen.port === 0 || listen.port !== operations.listen.port) continue
    yield {
      path: 'operations.listen.port',
      problem: `is also the port of ${name}.listen; metrics must not be public`,
      remedy: 'Give operations a port of its own.',
      given: [`${name}.listen.port`],
    }
  }
}
