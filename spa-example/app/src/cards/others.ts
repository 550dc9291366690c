import { type App, explain } from '../app.ts'
import { button, card, element, text } from '../dom.ts'

/** A catalogue for everybody: without a user the proxy calls with the application's own token. */
export function catalogueCard({ call, notice }: App): HTMLElement {
  const list = element('ul', { class: 'rows', id: 'catalogue-list' })
  const load = async () => {
    const answer = await call('GET', '/api/catalogue')
    if (answer.status !== 200) return notice(explain(answer), 'bad')
    const articles = answer.body['articles'] as readonly { name: string; price: number }[]
    list.replaceChildren(
      ...articles.map(({ name, price }) =>
        element(
          'li',
          {},
          element('span', { text: name }),
          element('span', { class: 'amount', text: price.toFixed(2) }),
        ),
      ),
    )
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
    const row = element(
      'tr',
      {},
      element('td', {}, element('code', { text: `${method} ${path}` })),
      element('td', {
        class: good ? 'good' : 'bad',
        text: status === 0 ? 'none' : `${status}${code ? ` ${code}` : ''}`,
      }),
      element('td', { text: `${milliseconds} ms` }),
    )
    body.prepend(row)
    if (body.childElementCount > 8) body.lastElementChild?.remove()
  })
  return card('log', 'Calls', 'What this tab asked for, and how it was answered.', empty, table)
}
