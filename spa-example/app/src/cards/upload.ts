import { type App, explain } from '../app.ts'
import { card, element, field, form, text } from '../dom.ts'

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
  const start = async (data: FormData) => {
    const file = data.get('file')
    if (!(file instanceof File)) return 'kept'
    bar.value = 0
    const headers = await tokenHandler.headers().catch(() => ({}))
    const url = `${apiOrigin}/api/uploads`
    const answer = await send(url, file, headers, (part) => (bar.value = part), signal)
    if (answer.status !== 201) {
      notice(explain(answer), 'bad')
      return 'kept'
    }
    const { received, bytes, sha256 } = answer.body
    tellReceived('/api/uploads', received)
    result.textContent = `${text(bytes)} bytes arrived, SHA-256 ${text(sha256).slice(0, 12)}…`
    return 'done'
  }
  const fields = [field('File', 'file', { type: 'file', required: true })]
  return card(
    'upload',
    'Upload',
    'Streams through the proxy without being kept on the way.',
    form(fields, 'Upload', start),
    bar,
    result,
  )
}
