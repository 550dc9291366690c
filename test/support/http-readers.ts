import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { freePort } from './free-port.ts'
import { programPath } from './gateway.ts'

/** How one server understood one request. */
export interface Reading {
  readonly method: string
  /** The path as the server would look for it: decoded, one character per byte. */
  readonly path: string
  readonly query: string
  /** Without its port, in lower case. */
  readonly host: string
  /** Undefined where the server leaves bodies to the application. */
  readonly body?: string
}

export interface HttpReader {
  readonly name: string
  readonly port: number
}

export interface HttpReaders {
  readonly readers: readonly HttpReader[]
  close(): Promise<void>
}

/** Marks the reading in an answer, whatever the server puts around it. */
const mark = '<<reading>>'

/** The readings in everything that a server sent on one connection, in order. */
export function readingsIn(text: string): Reading[] {
  return [...text.matchAll(new RegExp(`${mark}([A-Za-z0-9_-]+)`, 'g'))].map(
    ([, encoded = '']) => JSON.parse(Buffer.from(encoded, 'base64url').toString('utf8')) as Reading,
  )
}

function formatReading(reading: Reading): string {
  return `${mark}${Buffer.from(JSON.stringify(reading)).toString('base64url')}\n`
}

/**
 * Starts the servers of this machine that upstreams are made of: nginx, Apache, Caddy (the server of Go), Node, and
 * Python where it is installed. Each tells in its answer how it read the request.
 */
export async function startHttpReaders(): Promise<HttpReaders> {
  const collector = await startCollector()
  const node = await startNode()
  const closers = [collector.close, node.close]
  const readers: HttpReader[] = [{ name: 'node', port: node.port }]
  const programs = [nginx, apache, caddy, ...(programPath('python3') === undefined ? [] : [python])]
  for (const program of programs) {
    const { name, port, close } = await startProgram(program, collector.port)
    readers.push({ name, port })
    closers.push(close)
  }
  return {
    readers,
    async close() {
      for (const close of closers) await close()
    },
  }
}

const decodeBytes = (text: string): string =>
  text.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
const plainHost = (host: string): string => host.toLowerCase().replace(/:[0-9]*$/, '')

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString('latin1')
}

async function startHttp(read: (request: IncomingMessage) => Promise<Reading>) {
  const server = createServer((request, response) => {
    read(request).then(
      (reading) => void response.end(formatReading(reading)),
      () => void response.destroy(),
    )
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const close = () =>
    new Promise<void>((resolve) => {
      server.closeAllConnections()
      server.close(() => resolve())
    })
  return { port: (server.address() as AddressInfo).port, close }
}

/** What stands behind the servers that only forward: it hears their reading in headers and sees the body they pass on. */
function startCollector() {
  const told = (request: IncomingMessage, name: string) =>
    String(request.headers[`x-read-${name}`] ?? '||').slice(1, -1)
  return startHttp(async (request) => ({
    method: told(request, 'method'),
    path: told(request, 'path'),
    query: told(request, 'query'),
    host: plainHost(told(request, 'host')),
    body: await bodyOf(request),
  }))
}

/** An application on Node that takes its URL apart with the URL class, as most do. */
function startNode() {
  return startHttp(async (request) => {
    const url = new URL(request.url ?? '', 'http://unset.example')
    return {
      method: request.method ?? '',
      path: decodeBytes(url.pathname),
      query: url.search.slice(1),
      host: plainHost(url.host === 'unset.example' ? (request.headers.host ?? '') : url.host),
      body: await bodyOf(request),
    }
  })
}

interface Program {
  readonly name: string
  readonly path: string
  readonly install: string
  readonly files: (at: { folder: string; port: number; collector: number }) => Readonly<Record<string, string>>
  readonly command: (folder: string) => readonly string[]
}

const nginx: Program = {
  name: 'nginx',
  path: 'nginx',
  install: 'apt-get install nginx',
  files: ({ folder, port, collector }) => ({
    'nginx.conf': [
      'daemon off; worker_processes 1;',
      `pid ${folder}/nginx.pid; error_log stderr crit;`,
      'events { worker_connections 256; }',
      'http { access_log off; client_body_timeout 1s; client_header_timeout 1s;',
      ...['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder}/${name};`),
      `server { listen 127.0.0.1:${port} default_server; location / {`,
      `proxy_pass http://127.0.0.1:${collector}/; proxy_http_version 1.1; proxy_set_header Connection "";`,
      'proxy_set_header X-Read-Method "|$request_method|"; proxy_set_header X-Read-Path "|$uri|";',
      'proxy_set_header X-Read-Query "|$args|"; proxy_set_header X-Read-Host "|$host|";',
      '} } }',
    ].join('\n'),
  }),
  command: (folder) => ['-p', folder, '-e', 'stderr', '-c', `${folder}/nginx.conf`],
}

const apache: Program = {
  name: 'apache',
  path: 'apache2',
  install: 'apt-get install apache2',
  files: ({ folder, port, collector }) => ({
    'apache2.conf': [
      `ServerRoot ${folder}`,
      'ServerName 127.0.0.1',
      `PidFile ${folder}/apache.pid`,
      `DefaultRuntimeDir ${folder}`,
      `Listen 127.0.0.1:${port}`,
      `ErrorLog ${folder}/error.log`,
      'Timeout 1',
      ...['mpm_event', 'authz_core', 'headers', 'proxy', 'proxy_http'].map(
        (name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`,
      ),
      'AllowEncodedSlashes On',
      '<Location "/">',
      `ProxyPass http://127.0.0.1:${collector}/`,
      'RequestHeader set X-Read-Method "expr=|%{REQUEST_METHOD}|"',
      'RequestHeader set X-Read-Path "expr=|%{REQUEST_URI}|"',
      'RequestHeader set X-Read-Query "expr=|%{QUERY_STRING}|"',
      'RequestHeader set X-Read-Host "expr=|%{HTTP_HOST}|"',
      '</Location>',
      '',
    ].join('\n'),
  }),
  command: (folder) => ['-d', folder, '-f', `${folder}/apache2.conf`, '-DFOREGROUND'],
}

const caddy: Program = {
  name: 'caddy',
  path: 'caddy',
  install: 'apt-get install caddy',
  files: ({ port, collector }) => ({
    Caddyfile: `{
	admin off
	auto_https off
	servers {
		timeouts {
			read_body 1s
			read_header 1s
		}
	}
}
http://:${port} {
	bind 127.0.0.1
	reverse_proxy 127.0.0.1:${collector} {
		header_up X-Read-Method "|{http.request.method}|"
		header_up X-Read-Path "|{http.request.uri.path}|"
		header_up X-Read-Query "|{http.request.uri.query}|"
		header_up X-Read-Host "|{http.request.host}|"
	}
}
`,
  }),
  command: (folder) => ['run', '--config', `${folder}/Caddyfile`, '--adapter', 'caddyfile'],
}

/** Reads bodies by their length only, as applications on http.server do; a chunked one is left to the next request. */
const python: Program = {
  name: 'python',
  path: 'python3',
  install: 'apt-get install python3',
  files: ({ port }) => ({
    'reader.py': `
import base64, http.server, json, urllib.parse

class Reader(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    timeout = 1

    def read(self):
        parts = urllib.parse.urlsplit(self.path)
        host = parts.netloc or self.headers.get('Host', '')
        reading = {
            'method': self.command,
            'path': urllib.parse.unquote_to_bytes(parts.path).decode('latin-1'),
            'query': parts.query,
            'host': host.lower().rsplit(':', 1)[0],
        }
        if 'Transfer-Encoding' in self.headers:
            self.close_connection = True
        else:
            length = int(self.headers.get('Content-Length') or 0)
            reading['body'] = self.rfile.read(length).decode('latin-1')
        body = ('${mark}' + base64.urlsafe_b64encode(json.dumps(reading).encode()).decode().rstrip('=') + '\\n').encode()
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = do_OPTIONS = do_PATCH = read

    def log_message(self, *arguments):
        pass

http.server.ThreadingHTTPServer(('127.0.0.1', ${port}), Reader).serve_forever()
`,
  }),
  command: (folder) => [`${folder}/reader.py`],
}

async function startProgram(program: Program, collector: number) {
  const path = programPath(program.path)
  if (path === undefined) throw new Error(`${program.path} is not installed; ${program.install}`)
  const folder = await mkdtemp(join(tmpdir(), 'token-handler-reader-'))
  const port = await freePort()
  for (const [name, text] of Object.entries(program.files({ folder, port, collector }))) {
    await writeFile(join(folder, name), text)
  }
  const child = spawn(path, program.command(folder), {
    cwd: folder,
    stdio: 'ignore',
    env: { PATH: process.env['PATH'], HOME: folder },
  })
  const gone = new Promise<void>((resolve) => {
    child.once('exit', () => resolve())
    child.once('error', () => resolve())
  })
  const close = async () => {
    child.kill('SIGTERM')
    await gone
    await rm(folder, { recursive: true, force: true })
  }
  try {
    await accepting(port, child)
  } catch (error) {
    await close()
    throw error
  }
  return { name: program.name, port, close }
}

async function accepting(port: number, child: ChildProcess): Promise<void> {
  for (let attempt = 0; attempt < 1000 && child.exitCode === null; attempt += 1) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => {
        socket.destroy()
        resolve(true)
      })
      socket.once('error', () => resolve(false))
    })
    if (open) return
    await pause(10)
  }
  throw new Error(`nothing listens on port ${port}`)
}
