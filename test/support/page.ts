import { type IncomingMessage, request as sendPlain } from 'node:http'
import { request as sendSecure } from 'node:https'
import { demoCode, demoPassword } from '../../spa-example/openid-provider.ts'
import type { CookieJar, Journey } from './cookie-jar.ts'

/** An answer with its header lines as they came. */
export interface PageAnswer {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly setCookies: readonly string[]
  readonly text: string
  /** The body as JSON; throws if it is none. */
  json(): Record<string, unknown>
}

/** A request of our page and its answer. */
export interface Exchange {
  readonly method: string
  readonly url: string
  readonly answer: PageAnswer
}

/** What a request of our page may carry. */
export interface CallOptions {
  /** Form fields of the body. */
  readonly form?: Readonly<Record<string, string>> | URLSearchParams
  /** The body as it is; give its content type among the headers. */
  readonly body?: string
  /** Header fields beside, or instead of, those of our page; an empty value leaves the field out. */
  readonly headers?: Readonly<Record<string, string>>
}

/** One browser tab of a SPA without any library: what its requests look like on the wire. */
export interface Page {
  readonly jar: CookieJar
  /** A fetch of our page to our origin, with everything that a browser and the browser client send. */
  call(method: string, path: string, options?: CallOptions): Promise<PageAnswer>
  /** Opens a page of our origin in the tab: by a link of the page itself, or coming from another site. */
  navigate(
    method: string,
    path: string,
    options?: CallOptions & { readonly from?: 'our page' | 'elsewhere' },
  ): Promise<PageAnswer>
  /** Goes to the authorization server, signs in as `username` there, and gives the query with which it comes back. */
  visit(authorizationUrl: string, username?: string): Promise<URLSearchParams>
  /** Goes to the sign-out of the authorization server, confirms there, and gives the URL with which it comes back, if it does. */
  signOutAt(logoutUrl: string): Promise<string | undefined>
  /** The whole sign-in: start, visit, end. */
  signIn(username?: string, form?: Readonly<Record<string, string>>): Promise<PageAnswer>
}

/** What the authorization server itself sends: no header of ours, nothing of a browser. */
export const fromServer = {
  'token-handler-version': '',
  'sec-fetch-site': '',
  'sec-fetch-mode': '',
  'sec-fetch-dest': '',
  origin: '',
}

/** A logout token, as the authorization server hands it over. */
export function logOutByToken(
  page: Page,
  form: CallOptions['form'],
  headers: Readonly<Record<string, string>> = {},
): Promise<PageAnswer> {
  return page.call('POST', '/oauth-agent/backchannel-logout', {
    ...(form !== undefined && { form }),
    headers: { ...fromServer, ...headers },
  })
}

/** POST /login/start from this page. */
export function startLogin(page: Page, form: CallOptions['form'] = {}): Promise<PageAnswer> {
  return page.call('POST', '/oauth-agent/login/start', { form })
}

/** POST /login/end from this page, with the query of the page that came back. */
export function endLogin(page: Page, form: CallOptions['form'] = {}): Promise<PageAnswer> {
  return page.call('POST', '/oauth-agent/login/end', { form })
}

/** Refreshes the session of the page. */
export function refresh(page: Page, form?: CallOptions['form']): Promise<PageAnswer> {
  return page.call('POST', '/oauth-agent/refresh', form === undefined ? {} : { form })
}

/** What `is_logged_in` is for this page. */
export async function isSignedIn(page: Page): Promise<unknown> {
  return (await page.call('GET', '/oauth-agent/session')).json()['is_logged_in']
}

/** Where POST /login/start sends the browser. */
export function authorizationUrlOf(answer: PageAnswer): URL {
  return new URL(String(answer.json()['authorization_url']))
}

/** Status and error code of an answer of the agent. */
export function statusAndCode(answer: PageAnswer): [status: number, errorCode: unknown] {
  return [answer.status, answer.json()['error_code']]
}

/** Opens a tab with these cookies; `record` is told of every answer of our origin. */
export function openPage(parts: {
  jar: CookieJar
  publicOrigin: string
  agentPath?: string
  record?: (exchange: Exchange) => void
}): Page {
  const { jar, publicOrigin, agentPath = '/oauth-agent', record = () => {} } = parts

  async function fetchWithCookies(
    method: string,
    url: string,
    options: { journey: Journey; headers?: Record<string, string>; body?: string },
  ): Promise<PageAnswer> {
    const { hostname, pathname } = new URL(url)
    const cookie = jar.header(hostname, pathname, options.journey)
    const headers = { ...(cookie === undefined ? {} : { cookie }), ...options.headers }
    const answer = await fetchOnce(method, url, headers, options.body)
    for (const line of answer.setCookies) jar.take(hostname, line)
    return answer
  }

  const page: Page = {
    jar,
    async call(method, path, { form, body, headers = {} } = {}) {
      const all: Record<string, string> = {
        'token-handler-version': '1',
        'sec-fetch-site': 'same-origin',
        'sec-fetch-mode': 'cors',
        'sec-fetch-dest': 'empty',
        ...(method === 'GET' || method === 'HEAD' ? {} : { origin: publicOrigin }),
        ...(form === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' }),
        ...headers,
      }
      const sent = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== ''))
      const text = form === undefined ? body : new URLSearchParams(form).toString()
      const url = `${publicOrigin}${path}`
      const answer = await fetchWithCookies(method, url, {
        journey: 'same-site',
        headers: sent,
        ...(text === undefined ? {} : { body: text }),
      })
      record({ method, url, answer })
      return answer
    },

    async navigate(method, path, { form, headers = {}, from = 'our page' } = {}) {
      const ours = from === 'our page'
      const all: Record<string, string> = {
        'sec-fetch-site': ours ? 'same-origin' : 'cross-site',
        'sec-fetch-mode': 'navigate',
        'sec-fetch-dest': 'document',
        'sec-fetch-user': '?1',
        ...(method === 'GET' ? {} : { origin: ours ? publicOrigin : 'null' }),
        ...(form === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' }),
        ...headers,
      }
      const url = `${publicOrigin}${path}`
      const answer = await fetchWithCookies(method, url, {
        journey: ours ? 'same-site' : method === 'GET' ? 'cross-site navigation' : 'cross-site post',
        headers: Object.fromEntries(Object.entries(all).filter(([, value]) => value !== '')),
        ...(form === undefined ? {} : { body: new URLSearchParams(form).toString() }),
      })
      record({ method, url, answer })
      return answer
    },

    async visit(authorizationUrl, username = 'alice') {
      let answer = await fetchWithCookies('GET', authorizationUrl, { journey: 'cross-site navigation' })
      let at = authorizationUrl
      for (let hops = 0; hops < 10; hops++) {
        const location = answer.headers.location
        if (location !== undefined) {
          at = new URL(location, at).href
          if (at.startsWith(`${publicOrigin}/`)) return new URL(at).searchParams
          answer = await fetchWithCookies('GET', at, { journey: 'cross-site navigation' })
          continue
        }
        const posted = postedResponse(answer.text, publicOrigin)
        if (posted !== undefined) return posted
        if (answer.status !== 200)
          throw new Error(`the provider answered ${answer.status}: ${answer.text.slice(0, 500)}`)
        const form = new URLSearchParams({ username, password: demoPassword, code: demoCode })
        answer = await fetchWithCookies('POST', at, {
          journey: 'same-site',
          headers: { 'content-type': 'application/x-www-form-urlencoded' },
          body: form.toString(),
        })
      }
      throw new Error('the provider never came back')
    },

    async signOutAt(logoutUrl) {
      const asked = await fetchWithCookies('GET', logoutUrl, { journey: 'cross-site navigation' })
      const [, action = ''] = /<form[^>]* action="([^"]*)"/.exec(asked.text) ?? []
      const [, xsrf = ''] = /name="xsrf" value="([^"]*)"/.exec(asked.text) ?? []
      const confirmed = await fetchWithCookies('POST', new URL(action, logoutUrl).href, {
        journey: 'same-site',
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams({ xsrf, logout: 'yes' }).toString(),
      })
      if (confirmed.status !== 303) throw new Error(`the provider answered ${confirmed.status}: ${asked.text}`)
      const location = new URL(confirmed.headers.location ?? '', logoutUrl).href
      return location.startsWith(`${publicOrigin}/`) ? location : undefined
    },

    async signIn(username, form = {}) {
      const start = await page.call('POST', `${agentPath}/login/start`, { form })
      const url = String(start.json()['authorization_url'])
      return page.call('POST', `${agentPath}/login/end`, { form: await page.visit(url, username) })
    },
  }
  return page
}

/** The authorization response in a page that posts it to us by a form (form_post). */
function postedResponse(html: string, publicOrigin: string): URLSearchParams | undefined {
  if (!html.includes(`action="${publicOrigin}/`)) return undefined
  const fields = [...html.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)"/g)]
  return new URLSearchParams(fields.map(([, name = '', value = '']) => [name, value]))
}

/** Sends one request to the loopback address, whatever the name in the URL. */
function fetchOnce(method: string, url: string, headers: Record<string, string>, body?: string): Promise<PageAnswer> {
  const { protocol, host, port, pathname, search } = new URL(url)
  const send = protocol === 'https:' ? sendSecure : sendPlain
  const framing = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }
  return new Promise((resolve, reject) => {
    const request = send(
      {
        host: '127.0.0.1',
        port,
        path: `${pathname}${search}`,
        method,
        agent: false,
        // The browser's trust is not what these tests are about.
        rejectUnauthorized: false,
        headers: { host, ...headers, ...framing },
      },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString()
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            setCookies: response.headers['set-cookie'] ?? [],
            text,
            json: () => JSON.parse(text) as Record<string, unknown>,
          })
        })
      },
    )
    request.on('error', reject)
    request.end(body)
  })
}
