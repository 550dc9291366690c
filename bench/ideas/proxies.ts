import { median } from '../machine/median.ts'
import { cpuSeconds } from '../machine/process.ts'
import { type SteadyResult, steady } from '../machine/steady-load.ts'
import { saturate } from '../machine/wrk.ts'
import { apache } from '../peers/apache.ts'
import { caddy, haproxy } from '../peers/gateways.ts'
import { nginxAuthRequest, nginxModule, nginxPlain } from '../peers/nginx-peers.ts'
import { hello, httpProxy, ourProxy } from '../peers/node-peers.ts'
import type { Peer, RunningPeer } from '../peers/peer.ts'
import { startUpstream } from '../peers/upstream.ts'
import { type Bench, type Idea, type IdeaResult, rounded } from './idea.ts'

const peers: readonly Peer[] = [
  hello,
  httpProxy,
  ourProxy,
  nginxPlain,
  nginxAuthRequest,
  nginxModule,
  apache,
  haproxy,
  caddy,
]

/** A rate that every peer can bear, so that latencies are compared and not queues. */
const steadyRate = 1000

interface Sample {
  readonly requestsPerSecond: number
  readonly cpuPer100k: number
}

interface Contender {
  readonly peer: Peer
  readonly running: RunningPeer
  readonly samples: Sample[]
  steady: SteadyResult | undefined
}

/** Everything that could stand before the API, in turn, at full load and at a steady rate. */
export const proxies: Idea = {
  name: 'proxies',
  async run(bench) {
    const upstream = await startUpstream(bench.world)
    const { contenders, notes } = await startAll(bench)
    try {
      await measure(contenders, bench)
      return report(contenders, notes)
    } finally {
      await Promise.all(contenders.flatMap(({ running }) => running.processes.map((each) => each.stop())))
      await upstream.stop()
    }
  },
}

async function startAll(bench: Bench): Promise<{ contenders: Contender[]; notes: string[] }> {
  const contenders: Contender[] = []
  const notes: string[] = []
  for (const peer of peers) {
    try {
      contenders.push({ peer, running: await peer.start(bench.world), samples: [], steady: undefined })
    } catch (error) {
      if (peer.own === true || peer === nginxPlain || peer === httpProxy || peer === hello) throw error
      const [reason = ''] = error instanceof Error ? error.message.split('\n') : []
      notes.push(`${peer.title}: left out, ${reason}`)
    }
  }
  return { contenders, notes }
}

async function measure(contenders: readonly Contender[], { effort, say }: Bench): Promise<void> {
  for (const { running, peer } of contenders) {
    const { errors } = await warmUp(running)
    if (errors > 0) throw new Error(`${peer.title} refuses what it is sent:\n${running.processes[0]?.output()}`)
  }
  for (let round = 0; round < effort.rounds; round++) {
    // Each round begins elsewhere, so that nobody always follows the same neighbour.
    for (let turn = 0; turn < contenders.length; turn++) {
      const contender = contenders[(turn + round) % contenders.length]
      if (contender === undefined) continue
      const sample = await sampleOf(contender.running, effort.seconds)
      contender.samples.push(sample)
      say(
        `round ${round + 1}/${effort.rounds} ${contender.peer.name}: ${Math.round(sample.requestsPerSecond)} requests/s`,
      )
    }
  }
  for (const contender of contenders) {
    contender.steady = await steady(contender.running.target, steadyRate, effort.quick ? 2 : 5)
    say(`at ${steadyRate}/s ${contender.peer.name}: p50 ${contender.steady.p50Ms.toFixed(2)} ms`)
  }
}

/** Until code is compiled and connections are open; counted in requests, so that a busy machine does not cut it short. */
async function warmUp({ target }: RunningPeer): Promise<{ errors: number }> {
  let requests = 0
  for (let second = 0; second < 20 && requests < 10_000; second++) {
    const result = await saturate(target, 1)
    if (result.errors > 0) return result
    requests += result.requests
  }
  return { errors: 0 }
}

async function sampleOf({ processes, target }: RunningPeer, seconds: number): Promise<Sample> {
  const cpu = () => processes.reduce((sum, { pid }) => sum + cpuSeconds(pid), 0)
  const before = cpu()
  const { requests, seconds: took, errors } = await saturate(target, seconds)
  if (errors > 0) throw new Error(`${errors} errors on port ${target.port}`)
  return { requestsPerSecond: requests / took, cpuPer100k: ((cpu() - before) / requests) * 100_000 }
}

function report(contenders: readonly Contender[], notes: readonly string[]): IdeaResult {
  const facts: Record<string, number> = {}
  /** Median of the ratios within each round, so that a slow minute of the machine is slow for both. */
  const ratio = (contender: Contender, reference: string, of: keyof Sample): number => {
    const other = contenders.find(({ peer }) => peer.name === reference)
    return median(contender.samples.map((sample, round) => sample[of] / (other?.samples[round]?.[of] ?? Number.NaN)))
  }
  const rows = contenders.map((contender) => {
    const { name, title } = contender.peer
    facts[`${name}.requests_per_second`] = median(contender.samples.map((sample) => sample.requestsPerSecond))
    facts[`${name}.cpu_per_100k`] = median(contender.samples.map((sample) => sample.cpuPer100k))
    facts[`${name}.p50_ms`] = contender.steady?.p50Ms ?? Number.NaN
    facts[`${name}.p99_ms`] = contender.steady?.p99Ms ?? Number.NaN
    facts[`${name}.throughput_of_nginx`] = ratio(contender, 'nginx', 'requestsPerSecond')
    facts[`${name}.cpu_of_nginx`] = ratio(contender, 'nginx', 'cpuPer100k')
    facts[`${name}.cpu_of_hello`] = ratio(contender, 'hello', 'cpuPer100k')
    facts[`${name}.cpu_of_http_proxy`] = ratio(contender, 'http-proxy', 'cpuPer100k')
    const columns = [
      'requests_per_second',
      'throughput_of_nginx',
      'cpu_per_100k',
      'cpu_of_hello',
      'cpu_of_http_proxy',
      'p50_ms',
      'p99_ms',
    ]
    return [title, ...columns.map((column) => rounded(facts[`${name}.${column}`] ?? Number.NaN))]
  })
  rows.sort((a, b) => Number(a[3]) - Number(b[3]))
  return {
    title: 'Before an API: one core, 64 connections, 1 KB answers, 1.2 KB access token',
    columns: ['', 'requests/s', 'of nginx', 'CPU s/100k', 'of hello', 'of http-proxy', 'p50 ms', 'p99 ms'],
    rows,
    facts,
    notes: [`p50 and p99 at ${steadyRate} requests/s.`, ...notes],
  }
}
