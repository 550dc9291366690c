import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { type Plugin, build } from 'vite'
import about from '../package.json' with { type: 'json' }

/**
 * Makes the program of the image in an empty folder: with all its packages in few files, their licenses, and the
 * compiled code of one start. A start takes half the time of the package's (bench/README.md, cold start).
 *
 * Node looks compiled code up by the path of its file and by the user; so the folder stays where it was made, and whoever
 * runs it is the user who made it. Anywhere else it starts as well, only later.
 */
const [, , name] = process.argv
if (name === undefined) throw new Error('Name the folder to make: node deploy/bundle.ts <folder>')
const folder = resolve(name)
if (existsSync(folder) && readdirSync(folder).length > 0)
  throw new Error(`${folder} is not empty. Name another folder.`)
const root = fileURLToPath(new URL('..', import.meta.url))
const entry = join(folder, 'bin/token-handler.js')

await build({
  root,
  configFile: false,
  publicDir: false,
  logLevel: 'warn',
  ssr: { noExternal: true },
  plugins: [withoutHttp2()],
  build: {
    ssr: true,
    outDir: folder,
    emptyOutDir: false,
    // As it was written, so that a stack can be read.
    minify: false,
    target: 'node22',
    license: { fileName: 'licenses.md' },
    rolldownOptions: {
      input: join(root, 'bin/token-handler.ts'),
      // The demo needs packages that only developers have.
      external: [/\/spa-example\//],
      // In depd, which names a function by it; it is given nothing but the number of arguments.
      checks: { eval: false },
      // With import, Node asks each of its own modules for all they export, and so loads even what nobody uses.
      output: { format: 'cjs', entryFileNames: 'bin/[name].js', chunkFileNames: 'bin/parts/[name].js' },
    },
  },
})
writeFileSync(
  join(folder, 'package.json'),
  `${JSON.stringify({ name: about.name, version: about.version, type: 'commonjs' }, null, 2)}\n`,
)
// `config nginx --write` hands this out.
cpSync(join(root, 'deploy/nginx/lua'), join(folder, 'deploy/nginx/lua'), { recursive: true })
await compile(join(folder, 'compiled'))

/** No call of ours speaks HTTP/2 (HX-30), but undici loads its part for that, and with it node:http2, at each start. */
function withoutHttp2(): Plugin {
  let found = false
  return {
    name: 'without-http2',
    load: {
      filter: { id: /undici\/lib\/dispatcher\/client-h2\.js$/ },
      handler() {
        found = true
        return `module.exports = () => { throw new Error('HTTP/2 is not part of this program.') }`
      },
    },
    buildEnd(error) {
      if (error === undefined && !found) throw new Error('undici keeps its part for HTTP/2 elsewhere now.')
    },
  }
}

/** Starts everything once, with a store and a collector that nobody answers for, and keeps what Node compiled. */
async function compile(cache: string): Promise<void> {
  mkdirSync(cache)
  const work = mkdtempSync(join(tmpdir(), 'token-handler-'))
  try {
    execFileSync(process.execPath, [entry, 'keys', 'generate', join(work, 'keys.json')], { stdio: 'ignore' })
    const settings = {
      public_origin: 'http://localhost:3000',
      insecure_allow_http: true,
      authorization_server: { issuer: 'http://127.0.0.1:9' },
      client: { id: 'app', authentication: 'client_secret_basic', secret: randomUUID() },
      keys: { file: 'keys.json' },
      store: { kind: 'valkey', url: 'redis://127.0.0.1:9' },
      proxy: {
        listen: { port: 0 },
        routes: [{ path: '/api/**', upstream: 'http://127.0.0.1:9', websocket: true, headerless: ['websocket'] }],
      },
      operations: { listen: { port: 0 }, shutdown_wait_seconds: 0 },
      observability: { otlp_endpoint: 'http://127.0.0.1:9' },
    }
    writeFileSync(join(work, 'settings.yaml'), JSON.stringify(settings))
    const started = spawn(process.execPath, [entry, 'serve', '--config', join(work, 'settings.yaml')], {
      env: { ...process.env, NODE_COMPILE_CACHE: cache },
      stdio: ['ignore', 'pipe', 'inherit'],
      timeout: 60_000,
    })
    const ended = once(started, 'exit')
    await serving(started)
    started.kill()
    const [code] = (await ended) as [number | null]
    if (code !== 0) throw new Error('The bundled program did not end as it should.')
    // Node lets only the user read it who wrote it; in the image it belongs to root, so that nobody can change it.
    for (const each of readdirSync(cache, { recursive: true, withFileTypes: true })) {
      chmodSync(join(each.parentPath, each.name), each.isDirectory() ? 0o755 : 0o644)
    }
  } finally {
    rmSync(work, { recursive: true })
  }
}

/** Throws when the process ends before it serves. */
async function serving({ stdout }: ChildProcess): Promise<void> {
  if (stdout === null) throw new TypeError('Its output is not read.')
  for await (const line of createInterface({ input: stdout })) {
    if ((JSON.parse(line) as { event?: string }).event === 'process.started') return
  }
  throw new Error('The bundled program does not start.')
}
