import { type App, explain } from '../app.ts'
import { card, element, field, form, text } from '../dom.ts'

/** A call that is refused until the user signs in with a second factor, and then repeated with its body. */
export function transferCard({ call, notice }: App): HTMLElement {
  const done = element('p', { class: 'result', id: 'transfer-result' })
  const fields = [
    field('To', 'to', { required: true, maxlength: 60, value: 'Coffee collective' }),
    field('Amount', 'amount', { type: 'number', min: 1, max: 10_000, value: 250, required: true }),
  ]
  const send = async (data: FormData) => {
    const answer = await call('POST', '/api/transfers', { to: data.get('to'), amount: Number(data.get('amount')) })
    if (answer.status === 201) {
      const { reference, to, amount } = answer.body['transfer'] as Record<string, unknown>
      done.textContent = `${text(amount)} sent to ${text(to)}, reference ${text(reference)}.`
    } else notice(explain(answer), 'bad')
    return 'kept' as const
  }
  return card(
    'transfer',
    'Transfer',
    'Money wants a second factor. The call waits while you confirm, then goes out as you wrote it.',
    form(fields, 'Transfer', send),
    done,
  )
}
