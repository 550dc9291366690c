import { median } from '../machine/median.ts'
import { type Contest, type Contestant, contest } from '../machine/contest.ts'
import { type SteadyResult, steady } from '../machine/steady-load.ts'
import { apache } from '../peers/apache.ts'
import { caddy, haproxy } from '../peers/gateways.ts'
import {
  nginxAlwaysYes,
  nginxAuthRequest,
  nginxAuthRequestSocket,
  nginxModule,
  nginxPlain,
} from '../peers/nginx-peers.ts'
import { bareUndici, hello, httpProxy, ourProxy } from '../peers/node-peers.ts'
import { oauth2Proxy } from '../peers/oauth2-proxy.ts'
import type { Peer, RunningPeer } from '../peers/peer.ts'
import { startUpstream } from '../peers/upstream.ts'
import { type BenchmarkParts, type Benchmark, type BenchmarkResult, rounded } from './benchmark.ts'

/** Those without which the targets cannot be judged. */
const needed: readonly Peer[] = [hello, httpProxy, ourProxy, nginxPlain, nginxAuthRequest, nginxModule]
const others: readonly Peer[] = [
  nginxAuthRequestSocket,
  bareUndici,
  nginxAlwaysYes,
  apache,
  oauth2Proxy,
  haproxy,
  caddy,
]

/** A rate that every peer can bear, so that latencies are compared and not queues. */
const steadyRate = 1000

const latencyRounds = 5

type Latency = Pick<SteadyResult, 'p50Ms' | 'p99Ms'>

interface Entry extends Contestant {
  readonly title: string
}

/** Everything that could stand before the API, in turn, at full load and at a steady rate. */
export const proxies: Benchmark = {
  name: 'proxies',
  async run(bench) {
    const upstream = await startUpstream(bench.world)
    const { running, notes } = await startAll(bench)
    try {
      const entries = [...running].map(([peer, { processes, target }]) => ({
        name: peer.name,
        title: peer.title,
        pids: processes.map(({ pid }) => pid),
        target,
      }))
      const beside = bench.beside
        .filter(({ idea }) => idea === 'proxies')
        .map(({ name, title, pid, target }) => ({ name, title, pids: [pid], target }))
      return await measure([...entries, ...beside], notes, bench)
    } finally {
      await Promise.all([...running.values()].flatMap(({ processes }) => processes.map((each) => each.stop())))
      await upstream.stop()
    }
  },
}

async function startAll({ world, say }: BenchmarkParts): Promise<{ running: Map<Peer, RunningPeer>; notes: string[] }> {
  const running = new Map<Peer, RunningPeer>()
  const notes: string[] = []
  for (const peer of needed) running.set(peer, await peer.start(world))
  for (const peer of others) {
    try {
      running.set(peer, await peer.start(world))
    } catch (error) {
      const [reason = ''] = error instanceof Error ? error.message.split('\n') : []
      notes.push(`Left out: ${peer.title} (${reason}).`)
      say(notes.at(-1) ?? '')
    }
  }
  return { running, notes }
}

async function measure(
  entries: readonly Entry[],
  notes: readonly string[],
  bench: BenchmarkParts,
): Promise<BenchmarkResult> {
  const { rounds, seconds, quick } = bench.effort
  const result = await contest(entries, { rounds, seconds, say: bench.say })
  const missing = needed.find(({ name }) => result.out.has(name))
  if (missing !== undefined) throw new Error(`${missing.title}: ${result.out.get(missing.name) ?? ''}`)
  const left = entries.filter(({ name }) => !result.out.has(name))
  const dropped = entries.flatMap(({ name, title }) => {
    const reason = result.out.get(name)
    return reason === undefined ? [] : [`Left out: ${title} (${reason}).`]
  })
  const latencies = await latenciesOf(left, quick ? 1 : latencyRounds, bench)
  return report(left, result, latencies, [`p50 and p99 at ${steadyRate} requests/s.`, ...notes, ...dropped])
}

/** Medians over rounds, like everything else: one stall of the machine must not fall upon one peer. */
async function latenciesOf(
  entries: readonly Entry[],
  rounds: number,
  { say }: BenchmarkParts,
): Promise<ReadonlyMap<string, Latency>> {
  const samples = new Map<string, SteadyResult[]>()
  for (let round = 0; round < rounds; round++) {
    for (const { name, target } of entries) {
      const sample = await steady(target, steadyRate, 3)
      samples.set(name, [...(samples.get(name) ?? []), sample])
      say(`at ${steadyRate}/s ${name}: p50 ${sample.p50Ms.toFixed(2)} ms, p99 ${sample.p99Ms.toFixed(2)} ms`)
    }
  }
  return new Map(
    [...samples].map(([name, each]) => [
      name,
      { p50Ms: median(each.map(({ p50Ms }) => p50Ms)), p99Ms: median(each.map(({ p99Ms }) => p99Ms)) },
    ]),
  )
}

function report(
  entries: readonly Entry[],
  { figure, ratio }: Contest,
  latencies: ReadonlyMap<string, Latency>,
  notes: readonly string[],
): BenchmarkResult {
  const facts: Record<string, number> = {}
  const rows = entries.map(({ name, title }) => {
    const latency = latencies.get(name)
    const figures = {
      requests_per_second: figure(name, 'requestsPerSecond'),
      throughput_of_nginx: ratio(name, 'nginx', 'requestsPerSecond'),
      cpu_per_100k: figure(name, 'cpuPer100k'),
      cpu_of_hello: ratio(name, 'hello', 'cpuPer100k'),
      cpu_of_http_proxy: ratio(name, 'http-proxy', 'cpuPer100k'),
      p50_ms: latency?.p50Ms ?? Number.NaN,
      p99_ms: latency?.p99Ms ?? Number.NaN,
    }
    for (const [column, value] of Object.entries(figures)) facts[`${name}.${column}`] = value
    return [title, ...Object.values(figures).map(rounded)]
  })
  const bars = entries.map(({ name, title }) => ({
    title: title.replace('Token Handler: ', ''),
    own: title.startsWith('Token Handler'),
    cpuMicroseconds: (facts[`${name}.cpu_per_100k`] ?? 0) * 10,
    p99Ms: latencies.get(name)?.p99Ms ?? 0,
  }))
  for (const name of ['nginx-module', 'nginx']) {
    facts[`${name}.of_curity_lua`] = ratio(name, 'curity-lua', 'requestsPerSecond')
  }
  return {
    title: 'Before an API: one core, 64 connections, 1 KB answers, 1.2 KB access token',
    columns: ['', 'requests/s', 'of nginx', 'CPU s/100k', 'of hello', 'of http-proxy', 'p50 ms', 'p99 ms'],
    rows: rows.sort((a, b) => Number(a[3]) - Number(b[3])),
    facts,
    notes,
    bars,
  }
}
