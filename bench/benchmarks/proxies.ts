import { median } from '../machine/median.ts'
import { type Contest, type Contestant, contest, type LineUp } from '../machine/contest.ts'
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

type Latency = Pick<SteadyResult, 'p50Ms' | 'p99Ms'>

interface Entry extends Contestant {
  readonly title: string
}

/** Everything that could stand before the API, in turn, at full load and at a steady rate. */
export const proxies: Benchmark = {
  name: 'proxies',
  async run(bench) {
    const upstream = await startUpstream(bench.world)
    try {
      return await measure(bench)
    } finally {
      await upstream.stop()
    }
  },
}

async function measure(bench: BenchmarkParts): Promise<BenchmarkResult> {
  const missing = new Map<Peer, string>()
  const latencies = new Map<string, SteadyResult[]>()
  const result = await contest(() => enter(bench, missing), {
    ...bench.effort,
    say: bench.say,
    alsoMeasure: (present) => sampleLatencies(present, latencies, bench),
  })
  const lost = needed.find(({ name }) => result.out.has(name))
  if (lost !== undefined) throw new Error(`${lost.title}: ${result.out.get(lost.name) ?? ''}`)
  return report(result, latencies, [
    `p50 and p99 at ${steadyRate} requests/s.`,
    ...missing.values(),
    ...[...result.out].map(([name, reason]) => `Left out: ${name} (${reason}).`),
  ])
}

/** Starts all who can be started; why others cannot is told once, and kept in `missing`. */
async function enter({ world, beside, say }: BenchmarkParts, missing: Map<Peer, string>): Promise<LineUp<Entry>> {
  const running = new Map<Peer, RunningPeer>()
  const leave = async () => {
    await Promise.all([...running.values()].flatMap(({ processes }) => processes.map((each) => each.stop())))
  }
  try {
    for (const peer of [...needed, ...others.filter((each) => !missing.has(each))]) {
      try {
        running.set(peer, await peer.start(world))
      } catch (error) {
        if (needed.includes(peer)) throw error
        const [reason = ''] = error instanceof Error ? error.message.split('\n') : []
        missing.set(peer, `Left out: ${peer.title} (${reason}).`)
        say(missing.get(peer) ?? '')
      }
    }
  } catch (error) {
    await leave()
    throw error
  }
  const entries = [...running].map(([{ name, title }, { processes, target }]) => ({
    name,
    title,
    pids: processes.map(({ pid }) => pid),
    target,
  }))
  const byHand = beside.filter(({ idea }) => idea === 'proxies')
  return { contestants: [...entries, ...byHand.map(({ pid, ...each }) => ({ ...each, pids: [pid] }))], leave }
}

async function sampleLatencies(
  entries: readonly Entry[],
  samples: Map<string, SteadyResult[]>,
  { say }: BenchmarkParts,
): Promise<void> {
  for (const { name, target } of entries) {
    const sample = await steady(target, steadyRate, 3)
    samples.set(name, [...(samples.get(name) ?? []), sample])
    say(`at ${steadyRate}/s ${name}: p50 ${sample.p50Ms.toFixed(2)} ms, p99 ${sample.p99Ms.toFixed(2)} ms`)
  }
}

/** Median over the rounds, like everything else: one stall of the machine must not fall upon one peer. */
function latencyOf(samples: readonly SteadyResult[] = []): Latency {
  return { p50Ms: median(samples.map(({ p50Ms }) => p50Ms)), p99Ms: median(samples.map(({ p99Ms }) => p99Ms)) }
}

function report(
  { finished, figure, ratio }: Contest<Entry>,
  samples: ReadonlyMap<string, readonly SteadyResult[]>,
  notes: readonly string[],
): BenchmarkResult {
  const facts: Record<string, number> = {}
  const rows = finished.map(({ name, title }) => {
    const { p50Ms, p99Ms } = latencyOf(samples.get(name))
    const figures = {
      requests_per_second: figure(name, 'requestsPerSecond'),
      throughput_of_nginx: ratio(name, 'nginx', 'requestsPerSecond'),
      cpu_per_100k: figure(name, 'cpuPer100k'),
      cpu_of_hello: ratio(name, 'hello', 'cpuPer100k'),
      cpu_of_http_proxy: ratio(name, 'http-proxy', 'cpuPer100k'),
      p50_ms: p50Ms,
      p99_ms: p99Ms,
    }
    for (const [column, value] of Object.entries(figures)) facts[`${name}.${column}`] = value
    return [title, ...Object.values(figures).map(rounded)]
  })
  const bars = finished.map(({ name, title }) => ({
    title: title.replace('Token Handler: ', ''),
    own: title.startsWith('Token Handler'),
    cpuMicroseconds: (facts[`${name}.cpu_per_100k`] ?? 0) * 10,
    p99Ms: latencyOf(samples.get(name)).p99Ms,
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
