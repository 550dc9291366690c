import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { accessSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'

/** A real nginx in the foreground, on loopback, with a folder of its own. */
export interface Nginx {
  readonly folder: string
  /** Everything it wrote to its error log so far. */
  log(): string
  /** Reads configuration and keys again, as `nginx -s reload` does. */
  reload(): void
  stop(): Promise<void>
}

export interface NginxOptions {
  /** Directives for the http block, servers included. */
  readonly http: string
  /** Ports to wait for. */
  readonly ports: readonly number[]
  /** A folder that holds files of the test; a new one if absent. Removed in the end. */
  readonly folder?: string
}

const modules = '/usr/lib/nginx/modules'
const luaModules = ['ndk_http_module.so', 'ngx_http_lua_module.so']

/** Where nginx finds the Lua module. */
export const moduleOnly = `lua_package_path "${new URL('../../deploy/nginx/lua', import.meta.url).pathname}/?.lua;;";`

/** A folder for files that nginx reads. */
export function nginxFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'token-handler-nginx-'))
}

/** Starts nginx with the Lua module; throws Error when it is not installed or does not like its configuration. */
export async function startNginx(options: NginxOptions): Promise<Nginx> {
  const folder = options.folder ?? (await nginxFolder())
  await writeFile(join(folder, 'nginx.conf'), mainConfiguration(folder, options.http))
  const child = spawn(nginxPath(), ['-p', folder, '-e', 'stderr', '-c', join(folder, 'nginx.conf')], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let log = ''
  child.stderr.on('data', (data: Buffer) => {
    log += data.toString('utf8')
  })
  const gone = new Promise<void>((resolve) => {
    child.once('exit', () => resolve())
    child.once('error', () => resolve())
  })
  const nginx: Nginx = {
    folder,
    log: () => log,
    reload: () => void child.kill('SIGHUP'),
    async stop() {
      child.kill('SIGTERM')
      await gone
      await rm(folder, { recursive: true, force: true })
    },
  }
  try {
    for (const port of options.ports) await accepting(port, child, () => log)
  } catch (error) {
    await nginx.stop()
    throw error
  }
  return nginx
}

/** What nginx says of a configuration that it refuses; undefined where it would start with it. */
export async function nginxRefusal(options: Omit<NginxOptions, 'ports'>): Promise<string | undefined> {
  const folder = options.folder ?? (await nginxFolder())
  await writeFile(join(folder, 'nginx.conf'), mainConfiguration(folder, options.http))
  const checked = spawnSync(nginxPath(), ['-t', '-p', folder, '-e', 'stderr', '-c', join(folder, 'nginx.conf')], {
    encoding: 'utf8',
  })
  await rm(folder, { recursive: true, force: true })
  return checked.status === 0 ? undefined : checked.stderr
}

function nginxPath(): string {
  for (const path of ['/usr/sbin/nginx', '/usr/local/openresty/nginx/sbin/nginx']) {
    try {
      accessSync(path)
      return path
    } catch {
      continue
    }
  }
  throw new Error('nginx is not installed; apt-get install nginx libnginx-mod-http-lua')
}

function mainConfiguration(folder: string, http: string): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  return [
    'daemon off;',
    'worker_processes 1;',
    `pid ${folder}/nginx.pid;`,
    'error_log stderr info;',
    ...luaModules.map((file) => `load_module ${modules}/${file};`),
    'events { worker_connections 512; }',
    'http {',
    'access_log off;',
    ...temporary.map((name) => `${name}_temp_path ${folder}/${name};`),
    http,
    '}',
  ].join('\n')
}

async function accepting(port: number, child: ChildProcess, log: () => string): Promise<void> {
  for (let attempt = 0; attempt < 500; attempt++) {
    if (child.exitCode !== null) break
    if (await accepts(port)) return
    await pause(10)
  }
  throw new Error(`nginx does not listen on port ${port}:\n${log()}`)
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
