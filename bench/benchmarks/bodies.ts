import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { median } from '../machine/median.ts'
import { memory } from '../machine/process.ts'
import { type LoadTarget, saturate } from '../machine/wrk.ts'
import { nginxModule, nginxPlain } from '../peers/nginx-peers.ts'
import { bareUndici, httpProxy, ourProxy } from '../peers/node-peers.ts'
import type { RunningPeer } from '../peers/peer.ts'
import { startUpstream } from '../peers/upstream.ts'
import { type BenchmarkParts, type Benchmark, rounded } from './benchmark.ts'

const megabytes = 10
const contenders = [nginxPlain, ourProxy, nginxModule, bareUndici, httpProxy]

/** Bodies of 10 MB, eight at a time, until at least 1 GB has passed each way. */
export const bodies: Benchmark = {
  name: 'bodies',
  async run(bench) {
    const upstream = await startUpstream(bench.world)
    const running = new Map<string, RunningPeer>()
    try {
      for (const peer of contenders) running.set(peer.name, await peer.start(bench.world))
      return await measure(bench, running)
    } finally {
      await Promise.all([...running.values()].flatMap(({ processes }) => processes.map((each) => each.stop())))
      await upstream.stop()
    }
  },
}

async function measure({ world, effort, say }: BenchmarkParts, running: ReadonlyMap<string, RunningPeer>) {
  const upload = join(world.folder, 'upload.lua')
  writeFileSync(upload, `wrk.method = "POST"\nwrk.body = string.rep("a", ${megabytes * 1_048_576})\n`)
  const directions = {
    download: (target: LoadTarget) => ({ ...target, path: '/api/files/ten-megabytes' }),
    upload: (target: LoadTarget) => ({ ...target, path: '/api/upload', script: upload }),
  }
  const rates = new Map<string, number[]>()
  const passed = new Map<string, number>()
  const rounds = effort.quick ? 2 : 5
  for (let round = 0; round < rounds; round++) {
    for (const [direction, targetOf] of Object.entries(directions)) {
      for (const [name, { target }] of running) {
        const result = await saturate({ ...targetOf(target), connections: 8 }, effort.quick ? 2 : 3)
        if (result.errors > 0) throw new Error(`${result.errors} errors of ${name} while it carries a ${direction}`)
        const rate = (result.requests * megabytes) / result.seconds
        rates.set(`${name}.${direction}`, [...(rates.get(`${name}.${direction}`) ?? []), rate])
        passed.set(name, (passed.get(name) ?? 0) + result.requests * megabytes)
        say(`round ${round + 1}/${rounds} ${name} ${direction}: ${Math.round(rate)} MB/s`)
      }
    }
  }
  const rate = (name: string, direction: string) => median(rates.get(`${name}.${direction}`) ?? [])
  const ofNginx = (name: string, direction: string) =>
    median(
      (rates.get(`${name}.${direction}`) ?? []).map(
        (value, at) => value / (rates.get(`nginx.${direction}`)?.[at] ?? Number.NaN),
      ),
    )
  const peak = (name: string) =>
    (running.get(name)?.processes ?? []).reduce((sum, { pid }) => sum + memory(pid).peak, 0) / 1_048_576
  return {
    title: 'Bodies of 10 MB, eight at a time',
    columns: ['', 'download MB/s', 'upload MB/s', 'passed GB', 'peak RSS MB'],
    rows: contenders.map(({ name, title }) => [
      title,
      rounded(rate(name, 'download')),
      rounded(rate(name, 'upload')),
      rounded((passed.get(name) ?? 0) / 1024),
      rounded(peak(name)),
    ]),
    facts: {
      'bodies.download_of_nginx': ofNginx('oauth-proxy', 'download'),
      'bodies.undici_download_of_nginx': ofNginx('undici', 'download'),
      'bodies.upload_of_nginx': ofNginx('oauth-proxy', 'upload'),
      'bodies.undici_upload_of_nginx': ofNginx('undici', 'upload'),
      'bodies.peak_megabytes': peak('oauth-proxy'),
    },
  }
}
