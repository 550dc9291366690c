import { request } from 'node:http'
import type { LoadTarget } from '../machine/wrk.ts'
import type { World } from '../world.ts'

/** Signs in at a gateway on `port`; what its load sends is a page of ours with the cookies of that session. */
export async function signedInTarget(world: World, port: number): Promise<LoadTarget> {
  const host = `127.0.0.1:${port}`
  const cookies = await signIn(`http://${host}/api/orders`)
  const page = world.page.filter((line) => !line.startsWith('Host: '))
  return { port, path: '/api/orders', headers: [`Host: ${host}`, ...page, `Cookie: ${cookies}`] }
}

/** Follows redirects on loopback with a cookie jar of its own until a page answers; the cookies are those of a session. */
async function signIn(start: string): Promise<string> {
  const jar = new Map<string, string>()
  let url = new URL(start)
  for (let hop = 0; hop < 10; hop++) {
    const cookies = [...jar].map(([name, value]) => `${name}=${value}`).join('; ')
    const { status, location, setCookies } = await get(url, cookies)
    for (const line of setCookies) {
      const [pair = ''] = line.split(';')
      const value = pair.slice(pair.indexOf('=') + 1)
      const name = pair.slice(0, pair.indexOf('='))
      if (value === '' || /max-age=0/i.test(line)) jar.delete(name)
      else jar.set(name, value)
    }
    if (status === 200) return [...jar].map(([name, value]) => `${name}=${value}`).join('; ')
    if (location === undefined) throw new Error(`sign-in ended with status ${status} at ${url.pathname}`)
    url = new URL(location, url)
  }
  throw new Error('sign-in does not end')
}

interface Hop {
  readonly status: number
  readonly location: string | undefined
  readonly setCookies: readonly string[]
}

function get(url: URL, cookies: string): Promise<Hop> {
  return new Promise((resolve, reject) => {
    const headers = { accept: 'text/html', ...(cookies === '' ? {} : { cookie: cookies }) }
    const call = request({
      host: '127.0.0.1',
      port: url.port,
      path: url.pathname + url.search,
      headers: { host: url.host, ...headers },
    })
    call.on('response', (response) => {
      response.resume()
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          location: response.headers.location,
          setCookies: response.headers['set-cookie'] ?? [],
        }),
      )
    })
    call.on('error', reject)
    call.end()
  })
}
