import { execFileSync } from 'node:child_process'
import { connect as connectHttp2 } from 'node:http2'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { freePort } from '../support/free-port.ts'
import { everythingElse, type NginxWorld, startNginxWorld } from '../support/nginx-world.ts'
import { openRaw } from '../support/raw-http.ts'
import { startUpstream } from '../support/upstream.ts'

const upstream = await startUpstream()
beforeEach(() => upstream.reset())
afterAll(() => upstream.close())

const api = () => `
    - path: /api/**
      methods: [GET, HEAD, POST]
      upstream: ${upstream.origin}
`

describe('HTTP/2', () => {
  let world: NginxWorld
  let port: number

  beforeAll(async () => {
    port = await freePort()
    world = await startNginxWorld(api(), '', async (folder) => {
      const [key, certificate] = [join(folder, 'tls.key'), join(folder, 'tls.crt')]
      const subject = ['-subj', '/CN=www.example.com', '-days', '1', '-nodes']
      const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1']
      execFileSync('openssl', ['req', '-x509', ...curve, '-keyout', key, '-out', certificate, ...subject], {
        stdio: 'ignore',
      })
      const directives = `${everythingElse} listen 127.0.0.1:${port} ssl http2; ssl_certificate ${certificate}; ssl_certificate_key ${key};`
      return { directives, ports: [port] }
    })
  })
  afterAll(() => world.close())

  const call = (headers: Record<string, string | string[]>) =>
    new Promise<{ status: number; body: string }>((resolve, reject) => {
      const session = connectHttp2(`https://127.0.0.1:${port}`, { rejectUnauthorized: false })
      session.on('error', reject)
      const stream = session.request({
        ':authority': 'www.example.com',
        ':path': '/api/echo',
        'token-handler-version': '1',
        'sec-fetch-site': 'same-origin',
        ...headers,
      })
      let status = 0
      let body = ''
      stream.on('response', (fields) => {
        status = Number(fields[':status'])
      })
      stream.on('data', (chunk: Buffer) => {
        body += chunk.toString('latin1')
      })
      stream.on('error', () => {})
      stream.on('close', () => {
        session.close()
        resolve({ status, body })
      })
    })

  it('HX-29 carries a session, cookies in crumbs too', async () => {
    const cookies = world.cookies().split('; ')
    expect(await call({ cookie: cookies.join('; ') })).toMatchObject({ status: 200 })
    expect(await call({ cookie: ['theme=dark', ...cookies] })).toMatchObject({ status: 200 })
    expect(upstream.seen).toHaveLength(2)
    for (const seen of upstream.seen) {
      expect(seen.values('authorization')).toHaveLength(1)
      expect(seen.values('cookie')).toEqual([])
    }
  })

  it.each([
    ['no session', {}, 401],
    ['the cookie twice', { cookie: ['__Host-Http-th-at=a', '__Host-Http-th-at=b'] }, 400],
    ['another authority', { ':authority': 'evil.test' }, 421],
    ['a host beside the authority', { host: 'evil.test' }, 400],
    ['dot segments', { ':path': '/api/../admin' }, 400],
    ['an escaped slash', { ':path': '/api/a%2fb' }, 400],
    ['another path', { ':path': '//evil.test/api' }, 400],
    ['an underscore', { x_forwarded_user: 'a' }, 400],
    ['no version header', { 'token-handler-version': '2' }, 403],
    ['another site', { 'sec-fetch-site': 'cross-site' }, 403],
  ])('HX-29 refuses %s', async (_, headers, status) => {
    expect(await call(headers)).toMatchObject({ status })
    expect(upstream.seen).toEqual([])
  })

  /** The error code of the answer to a request in frames of our own (RFC 9113 §4.1): no client library sends such fields. */
  async function framed(field: readonly [string, string]): Promise<string | undefined> {
    const fields = [
      [':method', 'GET'],
      [':scheme', 'https'],
      [':authority', 'www.example.com'],
      [':path', '/api/echo'],
      ['token-handler-version', '1'],
      field,
    ]
    const connection = await openRaw(port, { rejectUnauthorized: false, ALPNProtocols: ['h2'] })
    connection.write(
      `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${frame(4, 0, 0, '')}${frame(1, 5, 1, fields.map(literal).join(''))}`,
    )
    const text = await connection.until((received) => received.includes('"detailed_error"'))
    connection.close()
    return /"error_code":"([a-z_]+)"/.exec(text)?.[1]
  }

  it.each([
    ['connection', 'close', 'ambiguous_request'],
    ['keep-alive', 'timeout=5', 'ambiguous_request'],
    ['proxy-connection', 'close', 'ambiguous_request'],
    ['transfer-encoding', 'chunked', 'ambiguous_request'],
    ['upgrade', 'websocket', 'ambiguous_request'],
    ['accept', 'text/plain', 'session_missing'],
  ])('HX-29 a request with %s: %s is answered with %s', async (name, value, code) => {
    expect(await framed([name, value])).toBe(code)
    expect(upstream.seen).toEqual([])
  })
})

function frame(type: number, flags: number, stream: number, payload: string): string {
  return `${String.fromCharCode(0, 0, payload.length, type, flags, 0, 0, 0, stream)}${payload}`
}

/** A field that is neither indexed nor compressed (RFC 7541 §6.2.2). */
function literal([name = '', value = '']: readonly string[]): string {
  return `\0${String.fromCharCode(name.length)}${name}${String.fromCharCode(value.length)}${value}`
}
