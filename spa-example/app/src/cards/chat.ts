import type { App } from '../app.ts'
import { card, element, field } from '../dom.ts'

interface Message {
  readonly joined?: string
  readonly from?: string
  readonly text?: string
  readonly received?: unknown
}

/** A chat over WebSocket; the proxy checks origin and session before it connects. */
export function chatCard({ tokenHandler, apiOrigin, tellReceived, notice, signal }: App): HTMLElement {
  const list = element('ul', { class: 'rows chat', id: 'chat-list', set: { 'aria-live': 'polite' } })
  let socket: WebSocket | undefined
  const connect = async (): Promise<WebSocket> => {
    if (socket?.readyState === WebSocket.OPEN) return socket
    await tokenHandler.headers().catch(() => undefined)
    const opened = new WebSocket(`${apiOrigin.replace('http', 'ws')}/api/chat`)
    socket = opened
    opened.onmessage = ({ data }) => {
      const { joined, from, text, received } = JSON.parse(String(data)) as Message
      tellReceived('/api/chat', received)
      const line = joined === undefined ? [element('b', { text: `${from} ` }), text ?? ''] : [`You are ${joined}.`]
      list.append(element('li', {}, element('span', {}, ...line)))
      if (list.childElementCount > 8) list.firstElementChild?.remove()
    }
    return new Promise((resolve, reject) => {
      opened.onopen = () => resolve(opened)
      opened.onclose = ({ code }) => {
        reject(new Error(`closed with ${code}`))
        if (!signal.aborted) list.append(element('li', { class: 'empty', text: 'Disconnected.' }))
      }
    })
  }
  signal.addEventListener('abort', () => socket?.close())
  const form = element(
    'form',
    { class: 'inline', set: { autocomplete: 'off' } },
    field('Message', 'text', { required: true, maxlength: 200 }),
    element('button', { text: 'Send' }),
  )
  form.addEventListener('submit', async (event) => {
    event.preventDefault()
    try {
      ;(await connect()).send(String(new FormData(form).get('text')))
      form.reset()
    } catch {
      notice('The chat cannot be reached.', 'bad')
    }
  })
  return card('chat', 'Chat', 'A WebSocket through the proxy. Open a second tab and talk to yourself.', list, form)
}
