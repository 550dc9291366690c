import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { pinned } from '../machine/process.ts'
import type { Benchmark } from './benchmark.ts'

const script = fileURLToPath(new URL('../cookie-open.ts', import.meta.url))
const run = promisify(execFile)

interface Figures {
  readonly plain_gcm: number
  readonly plain_xaes: number
  readonly open_cold: number
  readonly open_seen: number
  readonly read_header: number
  readonly access_cookie_characters: number
  readonly token_characters: number
}

/** What one access cookie costs by itself, and how long it is. */
export const cookie: Benchmark = {
  name: 'cookie',
  async run() {
    const [command = '', ...args] = pinned('measured', [process.execPath, script])
    const figures = JSON.parse((await run(command, args)).stdout) as Figures
    return {
      title: 'One access cookie',
      columns: ['', 'µs of CPU'],
      rows: [
        ['AES-256-GCM of the same bytes, nothing else', figures.plain_gcm],
        ['XAES-256-GCM of the same bytes, nothing else', figures.plain_xaes],
        ['opened for the first time', figures.open_cold],
        ['seen before', figures.open_seen],
        ['reading a Cookie header of five cookies', figures.read_header],
      ],
      facts: {
        'cookie.xaes_us': figures.plain_xaes,
        'cookie.cold_us': figures.open_cold,
        'cookie.seen_us': figures.open_seen,
        'cookie.characters': figures.access_cookie_characters,
      },
      notes: [
        `${figures.access_cookie_characters} characters, name included, for a token of ${figures.token_characters}.`,
      ],
    }
  },
}
