import { get } from 'node:http'
import { type Socket, connect } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { listening, memory, start } from '../machine/process.ts'
import { httpProxy, ourProxy } from '../peers/node-peers.ts'
import type { Peer } from '../peers/peer.ts'
import { ports } from '../world.ts'
import { type BenchmarkParts, type Benchmark, rounded } from './benchmark.ts'

const upstreamScript = fileURLToPath(new URL('../peers/servers/event-upstream.ts', import.meta.url))
const contenders: readonly Peer[] = [ourProxy, httpProxy]

/** 2,000 event streams at once: what each costs, and what is left behind them. */
export const streams: Benchmark = {
  name: 'streams',
  async run(bench) {
    const count = bench.effort.quick ? 500 : 2000
    const rows: (string | number)[][] = []
    const facts: Record<string, number> = {}
    for (const peer of contenders) {
      const { kilobytesEach, leftOpen } = await measure(peer, count, bench)
      rows.push([peer.title, rounded(kilobytesEach), leftOpen])
      if (peer === ourProxy) {
        facts['streams.kilobytes_each'] = kilobytesEach
        facts['streams.left_open'] = leftOpen
      }
    }
    return {
      title: `${count.toLocaleString('en')} event streams`,
      columns: ['', 'KB of RSS each', 'left open upstream'],
      rows,
      facts,
      notes: [`Left open: connections to the API ${settleMs / 1000} s after the last client has gone.`],
    }
  },
}

async function measure(peer: Peer, count: number, { world, say }: BenchmarkParts) {
  const upstream = start(process.execPath, [upstreamScript, String(ports.upstream)], { core: 'load' })
  await listening(ports.upstream, upstream)
  const { processes, target } = await peer.start(world)
  try {
    const lines = [...target.headers.filter((line) => !line.startsWith('Accept: ')), 'Accept: text/event-stream']
    const request = `GET /api/events HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`
    // Some come and go first, so that what is measured is streams and not the first use of code.
    await closeAll(await openAll(target.port, request, 200))
    const resident = () => processes.reduce((sum, { pid }) => sum + memory(pid).now, 0)
    const before = resident()
    const sockets = await openAll(target.port, request, count)
    const kilobytesEach = (resident() - before) / count / 1024
    await closeAll(sockets)
    const leftOpen = await openUpstream()
    say(`${peer.name}: ${kilobytesEach.toFixed(1)} KB each, ${leftOpen} left open`)
    return { kilobytesEach, leftOpen }
  } finally {
    await Promise.all([...processes, upstream].map((each) => each.stop()))
  }
}

async function openAll(port: number, request: string, count: number): Promise<Socket[]> {
  const sockets: Socket[] = []
  while (sockets.length < count) {
    const batch = Math.min(50, count - sockets.length)
    sockets.push(...(await Promise.all(Array.from({ length: batch }, () => openOne(port, request)))))
  }
  return sockets
}

function openOne(port: number, request: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    let text = ''
    socket.on('data', (data: Buffer) => {
      text += data.toString('latin1')
      if (text.includes('data: hello')) resolve(socket)
      else if (text.includes('error_code')) reject(new Error(text))
    })
    socket.on('error', reject)
    socket.write(request)
  })
}

/** undici opens a connection in the place of one that was aborted, and lets it go unused after some seconds. */
const settleMs = 6000

async function closeAll(sockets: readonly Socket[]): Promise<void> {
  for (const socket of sockets) socket.destroy()
  await pause(settleMs)
}

function openUpstream(): Promise<number> {
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port: ports.upstream, path: '/open', agent: false }, (response) => {
      response.on('data', (data: Buffer) => resolve(Number(data.toString('latin1'))))
    }).on('error', reject)
  })
}
