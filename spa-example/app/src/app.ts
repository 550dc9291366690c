import type { TokenHandler } from '../../../spa-client/token-handler.ts'
import type { Received } from '../../api/received.ts'
import { text } from './dom.ts'

export interface Answer {
  readonly status: number
  readonly body: Readonly<Record<string, unknown>>
}

/** One call, as the log shows it. */
export interface CallRecord {
  readonly method: string
  readonly path: string
  /** 0 when there was no answer. */
  readonly status: number
  readonly milliseconds: number
  readonly code?: string
}

/** What the cards of the page share. */
export interface App {
  readonly tokenHandler: TokenHandler
  /** Origin of the proxy: that of the page, or a sibling host. */
  readonly apiOrigin: string
  /** Calls an API and tells the panels; status 0 when there was no answer. */
  readonly call: (method: string, path: string, body?: unknown) => Promise<Answer>
  /** For calls that are not made with fetch, such as a stream. */
  readonly tellReceived: (path: string, received: unknown) => void
  readonly onCall: (run: (record: CallRecord) => void) => void
  readonly onReceived: (run: (path: string, received: Received) => void) => void
  /** Tells the user something, for a few seconds. */
  readonly notice: (text: string, kind?: 'good' | 'bad') => void
  /** Ends with the page that is shown now: signing in or out replaces it. */
  readonly signal: AbortSignal
}

function isReceived(value: unknown): value is Received {
  return typeof value === 'object' && value !== null && 'credential' in value && 'cookies' in value
}

const sentences: Readonly<Record<string, string>> = {
  too_many_requests: 'That was too fast. Please wait a moment.',
  authorization_server_unavailable: 'The sign-in service cannot be reached at the moment. You stay signed in.',
  upstream_unreachable: 'The API cannot be reached at the moment.',
  insufficient_user_authentication: 'This needs a stronger sign-in.',
  session_expired: 'Your session is over.',
  session_missing: 'You are not signed in.',
}

/** A sentence for an answer that is no success. */
export function explain({ status, body }: Answer): string {
  if (status === 0) return 'There is no connection at the moment.'
  const known = sentences[text(body['error_code'])]
  return known ?? (text(body['detailed_error'] ?? body['error']) || `The answer was ${status}.`)
}

type Parts = Pick<App, 'tokenHandler' | 'apiOrigin' | 'notice' | 'signal'>

/** Creates what the cards share. */
export function createApp({ tokenHandler, apiOrigin, notice, signal }: Parts): App {
  const callListeners: ((record: CallRecord) => void)[] = []
  const receivedListeners: ((path: string, received: Received) => void)[] = []
  const tellReceived = (path: string, received: unknown) => {
    if (isReceived(received)) for (const run of receivedListeners) run(path, received)
  }
  const send = async (method: string, path: string, body: unknown): Promise<Answer> => {
    const json =
      body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }
    try {
      const response = await tokenHandler.fetch(apiOrigin + path, { method, ...json, signal })
      // An answer that breaks off, as when the page is left, is none: it fails here, and not as half a success.
      return { status: response.status, body: parseObject(await response.text()) }
    } catch {
      return { status: 0, body: {} }
    }
  }
  return {
    tokenHandler,
    apiOrigin,
    notice,
    signal,
    tellReceived,
    onCall: (run) => callListeners.push(run),
    onReceived: (run) => receivedListeners.push(run),
    async call(method, path, body) {
      const start = performance.now()
      const answer = await send(method, path, body)
      const code = answer.body['error_code']
      const record: CallRecord = {
        method,
        path,
        status: answer.status,
        milliseconds: Math.round(performance.now() - start),
        ...(typeof code === 'string' ? { code } : {}),
      }
      if (!signal.aborted) {
        for (const run of callListeners) run(record)
        tellReceived(path, answer.body['received'])
      }
      return answer
    },
  }
}

/** What is no JSON object has no members: pages of a server in between, empty answers. */
function parseObject(source: string): Answer['body'] {
  try {
    const parsed: unknown = JSON.parse(source)
    return typeof parsed === 'object' && parsed !== null ? { ...parsed } : {}
  } catch {
    return {}
  }
}
