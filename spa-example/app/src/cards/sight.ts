import type { Received } from '../../../api/received.ts'
import type { App } from '../app.ts'
import { button, card, element } from '../dom.ts'

async function browserSees(): Promise<readonly (readonly [string, string])[]> {
  const databases = (await indexedDB.databases?.()) ?? []
  const caches_ = await caches.keys()
  const count = (number: number, none = 'empty') => (number === 0 ? none : `${number} entries`)
  return [
    ['document.cookie', document.cookie === '' ? 'empty' : document.cookie],
    ['localStorage', count(localStorage.length)],
    ['sessionStorage', count(sessionStorage.length)],
    ['IndexedDB', count(databases.length)],
    ['Cache storage', count(caches_.length)],
    ['Sealed cookies', 'out of reach (HttpOnly)'],
    ['Tokens', 'none'],
  ]
}

function facts(rows: readonly (readonly [string, string])[]): HTMLElement {
  const row = ([name, value]: readonly [string, string]) =>
    element('div', {}, element('dt', { text: name }), element('dd', { text: value }))
  return element('dl', { class: 'facts' }, ...rows.map(row))
}

function receivedRows(received: Received): (readonly [string, string])[] {
  const { credential, subject, actor, scope, audience, acr, characters, fingerprint, cookies } = received
  const rows: (readonly [string, string | undefined])[] = [
    ['Credential', credential],
    ['Subject', subject],
    ['Acting party', actor],
    ['Audience', audience],
    ['Scope', scope],
    ['Authentication', acr],
    ['Length', characters === undefined ? undefined : `${characters} characters`],
    ['Fingerprint', fingerprint],
    ['Cookies', cookies.length === 0 ? 'none' : cookies.join(', ')],
  ]
  return rows.flatMap(([name, value]) => (value === undefined || value === '' ? [] : [[name, value] as const]))
}

/** Side by side: what a script in this page can get at, and what the API was given for the same call. */
export function sightCard(app: App): HTMLElement {
  const browser = element('div', { id: 'browser-sees' })
  const api = element('div', { id: 'api-received' }, element('p', { class: 'empty', text: 'No call yet.' }))
  const source = element('p', { class: 'source', text: ' ' })
  const look = async () => {
    browser.replaceChildren(facts(await browserSees()))
  }
  app.onReceived((path, received) => {
    source.textContent = path
    api.replaceChildren(facts(receivedRows(received)))
    void look()
  })
  void look()
  return card(
    'sight',
    'Who sees what',
    'The same call, seen from both ends. No token ever reached this page.',
    element(
      'div',
      { class: 'ends' },
      element(
        'div',
        { class: 'end' },
        element('h3', { text: 'What the browser can see' }),
        element('p', { class: 'source', text: 'by script, in this page' }),
        browser,
      ),
      element('div', { class: 'end api' }, element('h3', { text: 'What the API received' }), source, api),
    ),
    element(
      'p',
      { class: 'actions' },
      button('Ask the API', () => app.call('GET', '/api/received'), 'quiet', { id: 'ask' }),
    ),
  )
}
