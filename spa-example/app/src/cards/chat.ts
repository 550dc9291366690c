import type { App } from '../app.ts'
import { card, element, field, form, text } from '../dom.ts'

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
      const { joined, from, text: said, received } = JSON.parse(String(data)) as Message
      tellReceived('/api/chat', received)
      const line = joined === undefined ? [element('b', { text: `${from} ` }), said ?? ''] : [`You are ${joined}.`]
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
  const say = async (data: FormData) => {
    try {
      const open = await connect()
      open.send(text(data.get('text')))
      return 'done'
    } catch {
      notice('The chat cannot be reached.', 'bad')
      return 'kept'
    }
  }
  const fields = [field('Message', 'text', { required: true, maxlength: 200 })]
  return card(
    'chat',
    'Chat',
    'A WebSocket through the proxy. Open a second tab and talk to yourself.',
    list,
    form(fields, 'Send', say),
  )
}
