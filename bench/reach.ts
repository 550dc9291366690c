import { rounded } from './benchmarks/benchmark.ts'

export interface Verdict {
  readonly what: string
  readonly reach: string
  readonly measured: string
  /** The same in the same run for the parts that it is built of, as they come and without any decision. */
  readonly parts: string
  readonly verdict: 'reached' | 'missed' | 'not measured'
}

interface Line {
  readonly what: string
  /** Name of the measured number. */
  readonly fact: string
  /** The same number for the parts alone. */
  readonly partsFact?: string
  readonly atMost?: number
  readonly atLeast?: number
  readonly unit: string
}

/** What is to be reached; ratios are between medians of interleaved rounds of one run. */
const lines: readonly Line[] = [
  {
    what: 'proxy, CPU per request',
    fact: 'oauth-proxy.cpu_of_http_proxy',
    partsFact: 'undici.cpu_of_http_proxy',
    atMost: 0.4,
    unit: '× http-proxy 1.18.1',
  },
  {
    what: 'proxy, CPU per request',
    fact: 'oauth-proxy.cpu_of_hello',
    partsFact: 'undici.cpu_of_hello',
    atMost: 3.5,
    unit: '× bare node:http',
  },
  {
    what: 'proxy, throughput of one core',
    fact: 'oauth-proxy.throughput_of_nginx',
    partsFact: 'undici.throughput_of_nginx',
    atLeast: 0.29,
    unit: '× nginx',
  },
  {
    what: 'nginx asking our forward-auth',
    fact: 'nginx-auth-request.throughput_of_nginx',
    partsFact: 'nginx-always-yes.throughput_of_nginx',
    atLeast: 0.3,
    unit: '× nginx',
  },
  {
    what: 'nginx asking our forward-auth, Unix socket',
    fact: 'nginx-auth-request-socket.throughput_of_nginx',
    atLeast: 0.3,
    unit: '× nginx',
  },
  { what: 'nginx with our decision inside', fact: 'nginx-module.throughput_of_nginx', atLeast: 0.85, unit: '× nginx' },
  {
    what: 'nginx with our decision inside',
    fact: 'nginx-module.of_curity_lua',
    partsFact: 'nginx.of_curity_lua',
    atLeast: 2,
    unit: '× Curity Lua plugin',
  },
  { what: 'open a sealed cookie, cold', fact: 'cookie.cold_us', partsFact: 'cookie.xaes_us', atMost: 12, unit: 'µs' },
  { what: 'open a sealed cookie, seen before', fact: 'cookie.seen_us', atMost: 1, unit: 'µs' },
  { what: 'cookie for a 1,194-character JWT', fact: 'cookie.characters', atMost: 1350, unit: 'characters' },
  { what: 'agent GET /session', fact: 'agent.session_of_curity', atLeast: 2.5, unit: '× Curity Express agent' },
  {
    what: '10 MB downloads',
    fact: 'bodies.download_of_nginx',
    partsFact: 'bodies.undici_download_of_nginx',
    atLeast: 0.8,
    unit: '× nginx',
  },
  {
    what: '10 MB uploads',
    fact: 'bodies.upload_of_nginx',
    partsFact: 'bodies.undici_upload_of_nginx',
    atLeast: 0.8,
    unit: '× nginx',
  },
  { what: 'peak memory while 1 GB passes', fact: 'bodies.peak_megabytes', atMost: 220, unit: 'MB' },
  { what: '2,000 open event streams', fact: 'streams.kilobytes_each', atMost: 70, unit: 'KB each' },
  { what: 'upstream connections left after the clients have gone', fact: 'streams.left_open', atMost: 0, unit: '' },
  {
    what: 'cold start to the first answer, from the image',
    fact: 'start.milliseconds',
    partsFact: 'start.hello_milliseconds',
    atMost: 250,
    unit: 'ms',
  },
]

/** Each line with its verdict. */
export function verdicts(facts: Readonly<Record<string, number>>): readonly Verdict[] {
  return lines.map(({ what, fact, partsFact, atMost, atLeast, unit }) => {
    const value = facts[fact] ?? Number.NaN
    const reach = `${atMost === undefined ? `≥ ${atLeast}` : `≤ ${atMost}`} ${unit}`.trim()
    const reached = value <= (atMost ?? Number.POSITIVE_INFINITY) && value >= (atLeast ?? Number.NEGATIVE_INFINITY)
    const verdict = reached ? 'reached' : 'missed'
    return {
      what,
      reach,
      measured: figure(value, unit),
      parts: figure(facts[partsFact ?? ''] ?? Number.NaN, unit),
      verdict: Number.isNaN(value) ? 'not measured' : verdict,
    }
  })
}

function figure(value: number, unit: string): string {
  return Number.isNaN(value) ? '–' : `${rounded(value)} ${unit}`.trim()
}
