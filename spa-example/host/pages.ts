import type { IncomingMessage, ServerResponse } from 'node:http'
import { fileURLToPath } from 'node:url'
import { build } from 'vite'

interface Asset {
  readonly type: string
  readonly body: string | Uint8Array
}

const types: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
}

/** Builds the SPA in memory; nothing is written to disk and nothing is fetched. */
export async function buildPages(): Promise<ReadonlyMap<string, Asset>> {
  const built = await build({
    root: fileURLToPath(new URL('../app', import.meta.url)),
    configFile: false,
    envDir: false,
    publicDir: false,
    logLevel: 'error',
    build: { write: false, assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  })
  if (!('output' in built)) throw new Error('the SPA was not built as one bundle')
  return new Map(
    built.output.map((file) => {
      const extension = file.fileName.split('.').at(-1) ?? ''
      const type = types[extension] ?? 'application/octet-stream'
      return [`/${file.fileName}`, { type, body: file.type === 'chunk' ? file.code : file.source }] as const
    }),
  )
}

interface Parts {
  readonly assets: ReadonlyMap<string, Asset>
  /** Paths that show the page itself. */
  readonly pagePaths: readonly string[]
  /** The one of them to which the authorization server returns. */
  readonly redirectPath: string
  readonly pageOrigin: string
  /** Address of the agent: a path, or a URL on a sibling host. */
  readonly agent: string
  readonly plainCookies: boolean
  /** Cache-Control of the page; `no-cache` lets browsers keep it in their back/forward cache. */
  readonly pageCaching?: 'no-store' | 'no-cache'
}

/** The page, told where the agent is and what cookies it gives. */
function pageFor({ assets, agent, plainCookies }: Parts): readonly (readonly [string, Asset])[] {
  const page = assets.get('/index.html')
  if (page === undefined) return []
  const body = String(page.body)
    .replace('content="/oauth-agent"', `content="${agent}"`)
    .replace('content="secure"', plainCookies ? 'content="plain"' : 'content="secure"')
  return [['/index.html', { ...page, body }]]
}

/** Serves the page and its assets with the headers they need; returns false for other paths. */
export function createPages(parts: Parts) {
  const { pagePaths, redirectPath, pageOrigin, agent, pageCaching = 'no-store' } = parts
  const assets = new Map([...parts.assets, ...pageFor(parts)])
  const apiOrigin = new URL(agent, pageOrigin).origin
  const pageHost = new URL(pageOrigin).host
  const pageHeaders: Readonly<Record<string, string>> = {
    'cache-control': pageCaching,
    'content-security-policy': [
      "default-src 'none'",
      "script-src 'self'",
      "style-src 'self'",
      "img-src 'self'",
      `connect-src 'self' ${apiOrigin} ${apiOrigin.replace(/^http/, 'ws')}`,
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
      "require-trusted-types-for 'script'",
      "trusted-types 'none'",
    ].join('; '),
    'permissions-policy': 'camera=(), geolocation=(), microphone=()',
    'referrer-policy': 'no-referrer',
  }
  return (request: IncomingMessage, response: ServerResponse): boolean => {
    if (request.method !== 'GET' && request.method !== 'HEAD') return false
    const path = (request.url ?? '').split('?')[0] ?? ''
    const isPage = pagePaths.includes(path)
    if (isPage && request.headers.host !== pageHost) {
      response.writeHead(307, { location: `${pageOrigin}/`, 'cache-control': 'no-store' }).end()
      return true
    }
    const asset = assets.get(isPage ? '/index.html' : path)
    if (asset === undefined) return false
    response.writeHead(200, {
      'content-type': asset.type,
      'content-length': Buffer.byteLength(asset.body),
      'x-content-type-options': 'nosniff',
      'cross-origin-resource-policy': 'same-origin',
      // With a policy on the page of return, too, a sign-in window would lose its opener on the way back.
      ...(isPage && path !== redirectPath ? { 'cross-origin-opener-policy': 'same-origin-allow-popups' } : {}),
      ...(isPage ? pageHeaders : { 'cache-control': 'public, max-age=31536000, immutable' }),
    })
    response.end(request.method === 'HEAD' ? undefined : asset.body)
    return true
  }
}
