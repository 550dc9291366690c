import { Agent, request as send } from 'node:http'
import { systemClock } from '../../../shared/clock.ts'
import { type CookieJar, createCookieJar } from '../cookie-jar.ts'

export interface Answer {
  readonly status: number
  readonly location: string | undefined
  readonly text: string
}

/** Who sits in front of it. */
export interface Person {
  /** Subject at the provider, as APIs see it. */
  readonly subject: string
  readonly username: string
  readonly password: string
}

/** One browser: a jar that all of its tabs share, and what it has seen. */
export interface Browser {
  /** Subject of the user, as the API sees it. */
  readonly user: string
  readonly host: string
  readonly jar: CookieJar
  /** Signs in at the provider's own page, with these authorization parameters. */
  signIn(parameters?: Readonly<Record<string, string>>): Promise<void>
  /** One request of the SPA, with the headers a browser and the client library send; `port` goes past the gateway. */
  fetch(method: string, path: string, body?: string, port?: number): Promise<Answer>
  /** The same cookies in other hands. */
  copy(): Browser
  signOut(): Promise<void>
  /** Signs out at the provider alone, which then tells every client behind the back of the browser. */
  signOutAtProvider(issuer: string): Promise<void>
}

const agent = new Agent({ keepAlive: true, maxSockets: 128 })

/** Creates a browser for the application at `origin`. */
export function createBrowser(origin: string, person: Person, jar = createCookieJar(systemClock)): Browser {
  const ours: Record<string, string> = {
    'token-handler-version': '1',
    'sec-fetch-site': 'same-origin',
    'sec-fetch-mode': 'cors',
    'sec-fetch-dest': 'empty',
    origin,
  }

  const form = 'application/x-www-form-urlencoded'
  const fetchOurs = (method: string, path: string, body?: string, type = form, port?: number) => {
    const headers = { ...ours, ...(body === undefined ? {} : { 'content-type': type }) }
    return exchange({ jar, url: new URL(path, origin), method, headers, body, port })
  }

  return {
    user: person.subject,
    host: new URL(origin).host,
    jar,
    fetch: (method, path, body, port) => fetchOurs(method, path, body, 'text/plain', port),
    copy: () => createBrowser(origin, person, jar.copy()),
    async signIn(parameters = {}) {
      const started = await fetchOurs('POST', '/oauth-agent/login/start', new URLSearchParams(parameters).toString())
      if (started.status !== 200) throw new Error(`sign-in began with ${started.status} ${started.text}`)
      const { authorization_url: url } = JSON.parse(started.text) as { authorization_url: string }
      const back = await passProvider(jar, new URL(url), person, origin)
      const ended = await fetchOurs('POST', '/oauth-agent/login/end', back.searchParams.toString())
      if (ended.status !== 200) throw new Error(`sign-in ended with ${ended.status} ${ended.text}`)
    },
    async signOut() {
      const answer = await fetchOurs('POST', '/oauth-agent/logout')
      if (answer.status !== 200) throw new Error(`sign-out ended with ${answer.status} ${answer.text}`)
    },
    async signOutAtProvider(issuer) {
      const page = await exchange({ jar, url: new URL('/session/end', issuer), method: 'GET', headers: {} })
      const xsrf = /name="xsrf" value="([^"]+)"/.exec(page.text)?.[1] ?? ''
      const answer = await exchange({
        jar,
        url: new URL('/session/end/confirm', issuer),
        method: 'POST',
        headers: { 'content-type': form },
        body: new URLSearchParams({ xsrf, logout: 'yes' }).toString(),
      })
      if (answer.status >= 400) throw new Error(`the provider answered ${answer.status} to the sign-out`)
    },
  }
}

const navigation = { accept: 'text/html,*/*;q=0.8' }

/** Follows the provider's redirects, fills in its form, and answers the address to which it returns. */
async function passProvider(jar: CookieJar, start: URL, { username, password }: Person, origin: string): Promise<URL> {
  let url = start
  for (let step = 0; step < 10; step += 1) {
    if (url.origin === origin) return url
    const page = await exchange({ jar, url, method: 'GET', headers: navigation })
    const [form = ''] = /<form[^]*?<\/form>/.exec(page.text) ?? []
    const body = new URLSearchParams({ ...hiddenFields(form), username, password, action: 'sign-in' }).toString()
    const headers = { ...navigation, 'content-type': 'application/x-www-form-urlencoded' }
    const action = new URL(/ action="([^"]+)"/.exec(form)?.[1]?.replaceAll('&amp;', '&') ?? '', url)
    const next =
      page.location === undefined ? await exchange({ jar, url: action, method: 'POST', headers, body }) : page
    if (next.location === undefined) throw new Error(`the provider answered ${next.status} ${next.text.slice(0, 300)}`)
    url = new URL(next.location, url)
  }
  throw new Error('the provider redirects for ever')
}

/** What a form sends along unseen, such as a token against forged requests. */
function hiddenFields(form: string): Record<string, string> {
  const inputs = form.match(/<input[^>]* type="hidden"[^>]*>/g) ?? []
  return Object.fromEntries(inputs.map((input) => [attribute(input, 'name'), attribute(input, 'value')]))
}

function attribute(tag: string, name: string): string {
  return new RegExp(` ${name}="([^"]*)"`).exec(tag)?.[1] ?? ''
}

interface Exchange {
  readonly jar: CookieJar
  readonly url: URL
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string | undefined
  /** Where to connect, if not where the URL says. */
  readonly port?: number | undefined
}

function exchange({ jar, url, method, headers, body, port }: Exchange): Promise<Answer> {
  const cookie = jar.header(url.host, url.pathname, 'same-site')
  const options = {
    agent,
    method,
    host: '127.0.0.1',
    port: port ?? url.port,
    path: url.pathname + url.search,
    headers: {
      ...headers,
      host: url.host,
      ...(cookie === undefined ? {} : { cookie }),
      ...(method === 'GET' ? {} : { 'content-length': String(Buffer.byteLength(body ?? '')) }),
    },
  }
  return new Promise((resolve, reject) => {
    const request = send(options, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (piece: string) => {
        text += piece
      })
      response.on('error', reject)
      response.on('end', () => {
        for (const line of response.headers['set-cookie'] ?? []) jar.take(url.host, line)
        resolve({ status: response.statusCode ?? 0, location: response.headers.location, text })
      })
    })
    request.on('error', reject)
    request.end(body)
  })
}
