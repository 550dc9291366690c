import { type App, explain } from '../app.ts'
import { card, element, field } from '../dom.ts'

/** Sends with XMLHttpRequest, because fetch tells no progress. */
function send(
  url: string,
  file: Blob,
  headers: Record<string, string>,
  progress: (part: number) => void,
  signal: AbortSignal,
) {
  return new Promise<{ status: number; body: Record<string, unknown> }>((resolve) => {
    const request = new XMLHttpRequest()
    request.open('POST', url)
    request.withCredentials = true
    request.setRequestHeader('content-type', 'application/octet-stream')
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value)
    request.responseType = 'json'
    request.upload.onprogress = ({ loaded, total }) => progress(loaded / total)
    request.onload = () => resolve({ status: request.status, body: { ...(request.response as object | null) } })
    request.onerror = () => resolve({ status: 0, body: {} })
    request.onabort = request.onerror
    signal.addEventListener('abort', () => request.abort())
    request.send(file)
  })
}

/** An upload that streams through the proxy, with its progress. */
export function uploadCard({ tokenHandler, apiOrigin, tellReceived, notice, signal }: App): HTMLElement {
  const bar = element('progress', { set: { max: 1, value: 0, 'aria-label': 'Upload' } })
  const result = element('p', { class: 'result', id: 'upload-result' })
  const form = element(
    'form',
    { class: 'inline' },
    field('File', 'file', { type: 'file', required: true }),
    element('button', { text: 'Upload' }),
  )
  form.addEventListener('submit', async (event) => {
    event.preventDefault()
    const file = new FormData(form).get('file')
    if (!(file instanceof File)) return
    bar.value = 0
    const headers = await tokenHandler.headers().catch(() => ({}))
    const answer = await send(`${apiOrigin}/api/uploads`, file, headers, (part) => (bar.value = part), signal)
    if (answer.status !== 201) return notice(explain(answer), 'bad')
    tellReceived('/api/uploads', answer.body['received'])
    result.textContent = `${String(answer.body['bytes'])} bytes arrived, SHA-256 ${String(answer.body['sha256']).slice(0, 12)}….`
  })
  return card('upload', 'Upload', 'Streams through the proxy without being kept on the way.', form, bar, result)
}
