import { failureFolder } from './locations.ts'
import { type NginxRoute, nginxGroups } from './routes.ts'
import { isBelow } from '../../shared/config/checks/places.ts'
import type { Problem } from '../../shared/config/problem.ts'
import type { Config } from '../../shared/config/schema.ts'

/** Settings with which agent and proxy work, but for which nginx has no words. */
export function obstacles(config: Config): readonly Problem[] {
  const parts = ['agent', 'proxy'] as const
  return [
    ...parts.flatMap((part) => listenerObstacles(part, config)),
    ...agentObstacles(config),
    ...routeObstacles(config),
  ]
}

function listenerObstacles(part: 'agent' | 'proxy', config: Config): readonly Problem[] {
  const { certificateFile, socket, host, port } = config[part].listen
  if (certificateFile !== undefined) {
    return [
      {
        path: `${part}.listen.certificate_file`,
        problem: `makes the ${part} speak TLS, which the configuration for nginx with the Lua module does not`,
        remedy: `Use ${part}.listen.socket on the same machine.`,
      },
    ]
  }
  if (socket !== undefined) return []
  const remedy = `or use ${part}.listen.socket on the same machine.`
  return [
    ...(port === 0
      ? [
          {
            path: `${part}.listen.port`,
            problem: `is 0, so nobody can tell nginx at which port the ${part} will listen`,
            remedy: `Choose a port, ${remedy}`,
          },
        ]
      : []),
    ...(host.includes('%')
      ? [
          {
            path: `${part}.listen.host`,
            problem: 'is an address with the name of an interface (%), which nginx cannot read',
            remedy: `Choose an address without one, ${remedy}`,
          },
        ]
      : []),
  ]
}

/** nginx reads its configuration in pieces of 4,096 bytes, and no word may be longer. */
const longestLocation = 4000

function agentObstacles({ agent: { path } }: Config): readonly Problem[] {
  return path.length <= longestLocation ? [] : [tooLong('agent.path')]
}

function routeObstacles(config: Config): readonly Problem[] {
  return nginxGroups(config).flatMap(({ path, matchers, routes, handedOver }) => {
    const own = (setting: string, { setting: route }: NginxRoute): string =>
      `proxy.routes[${config.proxy.routes.indexOf(route)}].${setting}`
    return routes.flatMap((route) => [
      ...(matchers.some((matcher) => matcher.length > longestLocation) ? [tooLong(own('path', route))] : []),
      ...(isBelow(path, failureFolder)
        ? [
            {
              path: own('path', route),
              problem: `lies below ${failureFolder}, where nginx answers for itself`,
              remedy: 'Choose another path.',
            },
          ]
        : []),
      ...(handedOver === undefined ? variableNames(route).map((setting) => asVariable(own(setting, route))) : []),
    ])
  })
}

function tooLong(path: string): Problem {
  return {
    path,
    problem: `is longer than the ${longestLocation} characters that a location of nginx may have`,
    remedy: 'Choose a shorter one; in the path of a route * stands for a segment, and ** for all that follow.',
  }
}

/** The files of a route in whose paths nginx would look for variables; it knows no way to write a dollar sign there. */
function variableNames({ setting }: NginxRoute): readonly string[] {
  const files = {
    client_certificate_file: setting.clientCertificateFile,
    client_private_key_file: setting.clientPrivateKeyFile,
  }
  return Object.entries(files).flatMap(([name, file]) => (file?.includes('$') === true ? [name] : []))
}

function asVariable(path: string): Problem {
  return { path, problem: 'has a $ in its path, which nginx takes for a variable', remedy: 'Rename the file.' }
}
