import type { App } from '../app.ts'
import { button, card, element } from '../dom.ts'

/** Live prices over server-sent events, with the browser's own EventSource. */
export function pricesCard({ tokenHandler, apiOrigin, notice, signal }: App): HTMLElement {
  const list = element('ul', { class: 'rows prices', id: 'price-list' })
  const rows = new Map<string, { readonly value: HTMLElement; last: number }>()
  let source: EventSource | undefined
  const show = (name: string, price: number) => {
    const row = rows.get(name) ?? { value: element('span', { class: 'amount' }), last: price }
    if (!rows.has(name)) {
      rows.set(name, row)
      list.append(element('li', {}, element('span', { text: name }), row.value))
    }
    row.value.textContent = price.toFixed(2)
    row.value.dataset['trend'] = price > row.last ? 'up' : price < row.last ? 'down' : ''
    row.last = price
  }
  const close = () => {
    source?.close()
    source = undefined
    toggle.textContent = 'Start'
  }
  const open = async () => {
    // An EventSource cannot say why it was refused, so the token is made fresh before.
    await tokenHandler.headers().catch(() => undefined)
    if (signal.aborted) return
    source = new EventSource(`${apiOrigin}/api/prices`, { withCredentials: true })
    toggle.textContent = 'Stop'
    source.onmessage = ({ data }) => {
      const { name, price } = JSON.parse(String(data)) as { name: string; price: number }
      show(name, price)
    }
    source.onerror = () => {
      if (source?.readyState !== EventSource.CLOSED) return
      close()
      notice('The prices stopped.', 'bad')
    }
  }
  const toggle = button('Start', () => (source === undefined ? open() : close()), 'quiet', { id: 'prices-toggle' })
  signal.addEventListener('abort', close)
  return card(
    'prices',
    'Live prices',
    'Server-sent events through the proxy, unbuffered.',
    list,
    element('p', { class: 'actions' }, toggle),
  )
}
