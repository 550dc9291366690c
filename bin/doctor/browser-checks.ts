import { isIP } from 'node:net'
import { isLocalOrigin } from '../../shared/config/local.ts'
import type { Config } from '../../shared/config/schema.ts'
import { createCatalogue } from '../../shared/cookies/catalogue.ts'
import { errorTable } from '../../shared/error-table.ts'
import type { ErrorCode } from '../../shared/errors.ts'
import { failureCode } from '../../shared/failure-code.ts'
import type { Mode } from '../parts.ts'
import { error, type Finding, ok, skipped, warning } from './finding.ts'

interface GatewayLimit {
  readonly gateway: string
  readonly bytes: number
  /** Whether the limit is that of one line or of the whole header. */
  readonly of: 'line' | 'header'
}

/** What common gateways take unless told otherwise. */
const gatewayLimits: readonly GatewayLimit[] = [
  { gateway: 'nginx (large_client_header_buffers)', bytes: 8192, of: 'line' },
  { gateway: 'Apache (LimitRequestFieldSize)', bytes: 8190, of: 'line' },
  { gateway: 'HAProxy (tune.bufsize)', bytes: 15_360, of: 'header' },
  { gateway: 'AWS ALB', bytes: 16_384, of: 'line' },
  { gateway: 'Node.js and this software', bytes: 16_384, of: 'header' },
]
/** Room for cookies of the app itself on the same line, and for the other lines. */
const besides = { line: 512, header: 2048 }

/** What browsers and the gateways before us do with the cookies, and with calls; without `ask` the gateway is left alone. */
export async function* browserChecks(
  config: Config,
  ask: typeof fetch | undefined,
  mode: Mode | undefined,
): AsyncIterable<Finding> {
  const { publicOrigin, cookies } = config
  const { hostname } = new URL(publicOrigin)
  if (cookies.insecurePlain) {
    yield warning(
      'cookies.prefix',
      'cookies.insecure_plain leaves the names unguarded: scripts can plant cookies of our names',
      'Use it for development only.',
    )
  } else if (isLocalOrigin(publicOrigin)) {
    yield ok(
      'cookies.prefix',
      'localhost: browsers keep Secure cookies with their prefixes, except Safari (cookies.insecure_plain)',
    )
  } else if (isIP(hostname.replace(/^\[|\]$/g, '')) !== 0) {
    yield warning(
      'cookies.prefix',
      'the public origin is an address, not a name',
      'Give it a name: sites are told apart by domain.',
    )
  } else {
    yield ok(
      'cookies.prefix',
      `${createCatalogue(config).access.name} belongs to ${hostname} alone; no other host can set it`,
    )
  }

  const tooSmall = gatewayLimits.filter((limit) => limit.bytes < cookies.maxTotalBytes + besides[limit.of])
  yield tooSmall.length === 0
    ? ok('cookies.header_budget', `${cookies.maxTotalBytes} bytes of cookies fit through common gateways`)
    : warning(
        'cookies.header_budget',
        `${cookies.maxTotalBytes} bytes of cookies are too long for ${tooSmall.map(({ gateway }) => gateway).join(', ')}`,
        'Raise the limit of your gateway, or lower cookies.max_total_bytes.',
      )
  if (ask === undefined) {
    yield skipped('cookies.round_trip', 'skipped (--offline)')
    return
  }
  const whole = await roundTrip(config, ask)
  yield whole
  if (mode === 'agent') return
  for (const path of new Set(config.proxy.routes.map((route) => examplePath(route.path)))) {
    const answer = await routeAnswer(`${publicOrigin}${path}`, ask)
    yield routeRoundTrip(`${publicOrigin}${path}`, answer, whole.level === 'ok')
    // Each that says nothing costs the whole time limit, and one tells as much as all of them.
    if (!(answer instanceof Response)) return
  }
}

const passHost = 'Let it pass the Host that browsers send.'

/** Sends the largest Cookie header that we could ever make through everything that stands before the agent. */
async function roundTrip({ publicOrigin, agent, cookies }: Config, ask: typeof fetch): Promise<Finding> {
  const check = 'cookies.round_trip'
  const padding = 'x'.repeat(cookies.maxTotalBytes)
  try {
    const answer = await ask(`${publicOrigin}${agent.path}/session`, {
      headers: { 'token-handler-version': '1', cookie: `padding=${padding}` },
      redirect: 'manual',
      signal: AbortSignal.timeout(5000),
    })
    await answer.arrayBuffer()
    if (answer.status === 200 && answer.headers.get('content-type') === 'application/json') {
      return ok(check, `${publicOrigin} reaches the agent, with ${cookies.maxTotalBytes} bytes of cookies`)
    }
    if (answer.headers.get('token-handler-error') === 'host_not_allowed') {
      return error(check, 'the gateway changes the Host header', passHost)
    }
    return error(
      check,
      `${publicOrigin} answered ${answer.status} to a session request with ${cookies.maxTotalBytes} bytes of cookies`,
      'Check that the gateway routes agent.path here, and how long a header it takes.',
    )
  } catch (failure) {
    const code = failureCode(failure)
    return error(
      check,
      `${publicOrigin} cannot be reached from here${code === undefined ? '' : ` (${code})`}`,
      'Check name resolution, the certificate and the gateway; where it is out of reach on purpose, use --offline.',
    )
  }
}

/** A path that the pattern of a route matches. */
function examplePath(pattern: string): string {
  return pattern.replace(/\*\*?/g, 'doctor')
}

/** Asks as no page of ours does, so that the proxy refuses, whatever the route lets through: no API hears of it. */
async function routeAnswer(url: string, ask: typeof fetch): Promise<Response | { readonly why: string }> {
  try {
    const answer = await ask(url, { redirect: 'manual', signal: AbortSignal.timeout(5000) })
    await answer.arrayBuffer()
    return answer
  } catch (failure) {
    return { why: failureCode(failure) ?? 'unknown' }
  }
}

/** How the proxy refuses what reached one of its routes as it was sent; any other refusal would meet every call. */
const refusals: ReadonlySet<string> = new Set<ErrorCode>(['header_missing', 'method_not_allowed'])

function routeRoundTrip(
  url: string,
  answer: Response | { readonly why: string },
  /** Whether the gateway brought the agent's answer. */
  isReached: boolean,
): Finding {
  const check = 'routes.round_trip'
  if (!(answer instanceof Response)) {
    return isReached
      ? error(check, `${url} gives no answer (${answer.why})`, 'Check that the gateway reaches the proxy.')
      : skipped(check, `${url} cannot be reached from here (${answer.why})`)
  }
  const code = answer.headers.get('token-handler-error') ?? ''
  if (refusals.has(code)) return ok(check, `${url} reaches the proxy`)
  if (code === 'host_not_allowed') return error(check, `the gateway changes the Host header for ${url}`, passHost)
  if (code === 'route_not_found') {
    return error(
      check,
      `${url} is no route where it arrives (route_not_found)`,
      'Check that the gateway leaves paths as they are, sends those of proxy.routes to the proxy and not to the agent, and that the proxy runs with these settings.',
    )
  }
  if (Object.hasOwn(errorTable, code)) {
    return error(check, `${url} is refused (${code})`, errorTable[code as ErrorCode].remedy)
  }
  return error(
    check,
    `${url} answered ${answer.status}, but not by the proxy`,
    'Check that the gateway sends the paths of proxy.routes to the proxy, and neither to the files of the app nor to the API itself, and that it reaches the proxy.',
  )
}
