import { type App, explain } from '../app.ts'
import { button, card, element, field, form } from '../dom.ts'

interface Order {
  readonly id: number
  readonly item: string
  readonly quantity: number
}

/** Reading and adding orders: GET and POST with the user's token. */
export function ordersCard({ call, notice }: App): HTMLElement {
  const list = element(
    'ul',
    { class: 'rows', id: 'order-list' },
    element('li', { class: 'empty', text: 'Not loaded yet.' }),
  )
  const load = async () => {
    const answer = await call('GET', '/api/orders')
    if (answer.status !== 200) return notice(explain(answer), 'bad')
    const orders = answer.body['orders'] as readonly Order[]
    const row = ({ item, quantity }: Order) =>
      element('li', {}, element('span', { text: item }), element('span', { class: 'amount', text: `× ${quantity}` }))
    list.replaceChildren(...orders.map(row))
  }
  const fields = [
    field('Article', 'item', { required: true, maxlength: 80 }),
    field('Quantity', 'quantity', { type: 'number', min: 1, max: 99, value: 1, required: true }),
  ]
  const add = async (data: FormData) => {
    const order = { item: data.get('item'), quantity: Number(data.get('quantity')) }
    const answer = await call('POST', '/api/orders', order)
    if (answer.status !== 201) {
      notice(explain(answer), 'bad')
      return 'kept'
    }
    notice('Ordered.', 'good')
    await load()
    return 'done'
  }
  return card(
    'orders',
    'Orders',
    'An API that wants your access token. The proxy adds it; this page only calls.',
    list,
    form(fields, 'Order', add),
    element('p', { class: 'actions' }, button('Load orders', load, 'quiet', { id: 'load-orders' })),
  )
}
