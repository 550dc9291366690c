import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createCatalogue } from '../../shared/cookies/catalogue.ts'
import { freePort } from '../support/free-port.ts'
import { cookieSettings } from '../support/installation.ts'
import { moduleOnly, nginxFolder, startNginx } from '../support/nginx.ts'
import { hostLine } from '../support/proxy-world.ts'
import { rawRequest, sendRaw } from '../support/raw-http.ts'
import type { SealedCookieVectors } from '../support/sealed-cookie-vectors.ts'

const vectors = JSON.parse(
  readFileSync(new URL('../vectors/sealed-cookies.json', import.meta.url), 'utf8'),
) as SealedCookieVectors

describe.each([
  ['whole', vectors.key_ring],
  ['derived', vectors.proxy_key_ring],
] as const)('the shared vectors with the %s key ring', (_, ring) => {
  let port: number
  let stop: () => Promise<void>

  beforeAll(async () => {
    port = await freePort()
    const folder = await nginxFolder()
    await writeFile(join(folder, 'keys.json'), JSON.stringify(ring))
    const { ownPrefixes, access } = createCatalogue(cookieSettings())
    const nginx = await startNginx({
      folder,
      ports: [port],
      http: vectorServer(folder, port, access.name, ownPrefixes),
    })
    stop = nginx.stop
  })
  afterAll(() => stop())

  const open = async (header: string) => {
    const lines = [hostLine, ...(header === '' ? [] : [`Cookie: ${header}`])]
    return (await sendRaw(port, rawRequest('GET', '/', lines))).body
  }

  it.each(vectors.values.filter((value) => value.open === 'access').map((value) => [value.name, value] as const))(
    '%s',
    async (_name, { cookies, expect: expected }) => {
      const pairs = Object.entries(cookies).map(([name, value]) => `${name}=${value}`)
      expect(await open(pairs.join('; '))).toBe(wanted(expected))
    },
  )

  it.each(vectors.headers.map(({ header, expect: expected }) => [header, expected] as const))(
    'header %s',
    async (header, expected) => {
      const others = 'others' in expected ? String(expected['others']) : ''
      const { ours } = expected as { ours?: Record<string, string> }
      const access = ours?.['__Host-Http-th-at']
      if (expected['error'] !== undefined) expect(await open(header)).toBe(`code ${String(expected['error'])}`)
      else if (access !== undefined) expect(await open(header)).toBe('code session_invalid malformed')
      else expect(await open(header)).toBe(`nobody ${others}`)
    },
  )

  it('A06, A08: no bit of a value can be changed, and it has one spelling', async () => {
    const [good] = vectors.values
    const [[name, value] = ['', '']] = Object.entries(good?.cookies ?? {})
    expect(await open(`${name}=${value}`)).toMatch(/^opened/)
    const bytes = Buffer.from(value, 'base64url')
    const flipped = Array.from(bytes, (_byte, index) => {
      const copy = Buffer.from(bytes)
      copy[index] = (copy[index] ?? 0) ^ (1 << (index % 8))
      return copy.toString('base64url')
    })
    const aliases = [`${value}=`, `${value}A`, `!${value}`, value.slice(0, -1), value.replaceAll('_', '/')]
    for (const wrong of [...flipped, ...aliases.filter((alias) => alias !== value)]) {
      expect(await open(`${name}=${wrong}`)).toMatch(/^code session_invalid/)
    }
  })
})

/** What the vector server prints for an expectation of the vectors. */
function wanted(expected: Readonly<Record<string, unknown>>): string {
  if (expected['kind'] === 'absent') return 'nobody '
  if (expected['kind'] === 'unreadable') return `code session_invalid ${String(expected['reason'])}`
  const content = expected['content'] as Record<string, string | number>
  return [
    'opened',
    'sessionId',
    'generation',
    'subject',
    'absoluteExpiresAt',
    'idleExpiresAt',
    'accessTokenExpiresAt',
    'accessToken',
    'dpopKeyId',
  ]
    .map((name) => content[name] ?? name)
    .join(' ')
}

/** Opens what it is sent, whatever the time. */
function vectorServer(folder: string, port: number, accessCookie: string, ownPrefixes: readonly string[]): string {
  const { client_id, issuer, public_origin } = vectors.binding
  return `${moduleOnly}
    init_by_lua_block {
      reader = require("token_handler.session").create({
        access_cookie = "${accessCookie}", own_prefixes = { ${ownPrefixes.map((prefix) => `"${prefix}"`).join(', ')} },
        client_id = "${client_id}", issuer = "${issuer}", public_origin = "${public_origin}", cached_sessions = 10,
      }, require("token_handler.keys").load("${folder}/keys.json"))
    }
    large_client_header_buffers 4 32k;
    server {
      listen 127.0.0.1:${port};
      location / {
        content_by_lua_block {
          local found, code, check = reader.read(ngx.var.http_cookie, 0)
          local text
          if not found then
            text = "code " .. code .. (check and " " .. check or "")
          elseif not found.content then
            text = "nobody " .. table.concat(found.others, "; ")
          else
            local c = found.content
            text = table.concat({ "opened", c.session_id, c.generation, c.subject, c.absolute_expires_at,
              c.idle_expires_at, c.access_token_expires_at, c.access_token, c.dpop_key_id or "dpopKeyId" }, " ")
          end
          ngx.header["Content-Length"] = #text
          ngx.print(text)
        }
      }
    }`
}
