import { type App, explain } from '../app.ts'
import { button, card, element, text } from '../dom.ts'

/** A catalogue for everybody: without a user the proxy calls with the application's own token. */
export function catalogueCard({ call, notice }: App): HTMLElement {
  const list = element('ul', { class: 'rows', id: 'catalogue-list' })
  const load = async () => {
    const answer = await call('GET', '/api/catalogue')
    if (answer.status !== 200) return notice(explain(answer), 'bad')
    const articles = answer.body['articles'] as readonly { name: string; price: number }[]
    list.replaceChildren(...articles.map(({ name, price }) => row(name, price.toFixed(2))))
  }
  return card(
    'catalogue',
    'Catalogue',
    "Open to visitors: the proxy uses the application's own token (client credentials).",
    list,
    element('p', { class: 'actions' }, button('Look around', load, 'quiet', { id: 'load-catalogue' })),
  )
}

/** Somebody else's API, whose key stays on the server. */
export function weatherCard({ call, notice }: App): HTMLElement {
  const result = element('p', { class: 'result', id: 'weather-result' })
  const load = async () => {
    const answer = await call('GET', '/api/weather')
    if (answer.status !== 200) return notice(explain(answer), 'bad')
    const { place, sky, celsius } = answer.body
    result.textContent = `${text(place)}: ${text(sky)}, ${text(celsius)} °C`
  }
  return card(
    'weather',
    'Weather',
    'A third-party API with a key. The key stays with the proxy.',
    result,
    element('p', { class: 'actions' }, button('Ask', load, 'quiet', { id: 'load-weather' })),
  )
}

/** Another company's API: the proxy exchanges the user's token for one that this company may see. */
export function partnerCard({ call, notice }: App): HTMLElement {
  const list = element('ul', { class: 'rows', id: 'invoice-list' })
  const load = async () => {
    const answer = await call('GET', '/api/partner/invoices')
    if (answer.status !== 200) return notice(explain(answer), 'bad')
    const invoices = answer.body['invoices'] as readonly { number: string; amount: number }[]
    list.replaceChildren(...invoices.map(({ number, amount }) => row(number, amount.toFixed(2))))
  }
  return card(
    'partner',
    'Partner',
    "Another company's API gets a token of its own, exchanged for yours: other audience, other scope.",
    list,
    element('p', { class: 'actions' }, button('Load invoices', load, 'quiet', { id: 'load-invoices' })),
  )
}

/** What the OpenID Provider says of the user when the agent asks. */
export function profileCard({ call, notice }: App): HTMLElement {
  const list = element('ul', { class: 'rows', id: 'profile-list' })
  const load = async () => {
    const answer = await call('GET', '/oauth-agent/userinfo')
    if (answer.status !== 200) return notice(explain(answer), 'bad')
    const known = Object.entries(answer.body).filter(([, value]) => text(value) !== '')
    list.replaceChildren(...known.map(([name, value]) => row(name.replaceAll('_', ' '), text(value))))
  }
  return card(
    'profile',
    'Profile',
    'Asked from the OpenID Provider by the agent (userinfo).',
    list,
    element('p', { class: 'actions' }, button('Load profile', load, 'quiet', { id: 'load-profile' })),
  )
}

function row(name: string, value: string): HTMLElement {
  return element('li', {}, element('span', { text: name }), element('span', { class: 'amount', text: value }))
}

/** The last calls of this tab. */
export function logCard({ onCall }: App): HTMLElement {
  const body = element('tbody')
  const table = element(
    'table',
    { class: 'log' },
    element('caption', { class: 'visually-hidden', text: 'Calls of this tab, newest first' }),
    element(
      'thead',
      {},
      element(
        'tr',
        {},
        ...['Call', 'Answer', 'Time'].map((name) => element('th', { text: name, set: { scope: 'col' } })),
      ),
    ),
    body,
  )
  const empty = element('p', { class: 'empty', text: 'No calls yet.' })
  onCall(({ method, path, status, milliseconds, code }) => {
    empty.remove()
    const good = status >= 200 && status < 300
    const line = element(
      'tr',
      {},
      element('td', {}, element('code', { text: `${method} ${path}` })),
      element('td', {
        class: good ? 'good' : 'bad',
        text: status === 0 ? 'none' : `${status}${code ? ` ${code}` : ''}`,
      }),
      element('td', { text: `${milliseconds} ms` }),
    )
    body.prepend(line)
    if (body.childElementCount > 8) body.lastElementChild?.remove()
  })
  return card('log', 'Calls', 'What this tab asked for, and how it was answered.', empty, table)
}
