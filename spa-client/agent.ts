import type { Browser } from './browser.ts'
import type { ErrorCode } from './known-words.ts'

interface ErrorBody {
  readonly error_code?: string
  readonly detailed_error?: string
}

/** By this header an error of agent or proxy can be told from one of an API. */
export const codeHeader = 'token-handler-error'

/**
 * An answer of agent or proxy that is an error; `code` is a row of their table of errors, and `message` adds its sentence.
 */
export class AgentError extends Error {
  override readonly name = 'AgentError'
  // A later agent may know further codes.
  declare readonly code: ErrorCode | (string & {})
  declare readonly status: number
  /** Further members of the answer, such as `acr_values` or `sizes`. */
  declare readonly fields: Readonly<Record<string, unknown>>
  /** The answer itself, its body unread. */
  declare readonly response: Response

  constructor(response: Response, fields: Readonly<Record<string, unknown>> = {}) {
    // The answer to HEAD has no body.
    const inHeader = response.headers.get(codeHeader) ?? 'server_error'
    // Often it is not the agent that answers: its address tells who was asked.
    const { status, url } = response
    const { error_code: code = inHeader, detailed_error: sentence = `${status} from ${url}` } = fields as ErrorBody
    super(`${code}: ${sentence}`)
    this.code = code
    this.status = status
    this.fields = fields
    this.response = response
  }

  /** Seconds to wait before trying again, if the answer says so. */
  get retryAfter(): number | undefined {
    return Number(this.fields['retry_after'] ?? this.response.headers.get('retry-after')) || undefined
  }
}

/** The members of a JSON answer, which stays unread; undefined for anything else. Throws like fetch if it breaks off. */
async function readFields(response: Response): Promise<Readonly<Record<string, unknown>> | undefined> {
  const body = await response.clone().text()
  try {
    const fields: unknown = JSON.parse(body)
    return fields instanceof Object ? { ...fields } : undefined
  } catch {
    return undefined
  }
}

/** Reads an error of agent or proxy without consuming its answer. */
export async function readError(response: Response): Promise<AgentError> {
  return new AgentError(response, await readFields(response))
}

/** The refusal of a call that waited until somebody else was signed in. */
export function userReplaced(): AgentError {
  const fields = { error_code: 'session_expired', detailed_error: 'Somebody else has signed in.' }
  return new AgentError(Response.json(fields, { status: 401, headers: { [codeHeader]: fields.error_code } }), fields)
}

/** What the endpoints answer when all is well: the members of all of them, since each caller knows which to expect. */
export interface Answer {
  readonly is_logged_in?: boolean
  readonly id_token_claims?: Readonly<Record<string, unknown>>
  readonly access_token_expires_in?: number
  /** Times are in seconds: moments since 1970, or how long it is until then. */
  readonly session?: {
    readonly generation?: number
    readonly created_at?: number
    readonly expires_in?: number
    readonly idle_expires_in?: number
    readonly refresh_in?: number
    readonly auth_time?: number
    readonly acr?: string
    readonly amr?: readonly string[]
    readonly csrf_token?: string
  }
  readonly return_to?: string
  readonly authorization_url?: string
  readonly logout_url?: string
}

/**
 * Calls an endpoint of the agent; with parameters it is a POST.
 *
 * Throws `AgentError`, the `TypeError` of fetch when the network is down, or `TimeoutError` when there is no answer in time.
 */
export type CallAgent = (
  path: string,
  parameters?: Readonly<Record<string, string>> | URLSearchParams,
) => Promise<Answer>

/** A hung call must not keep other tabs waiting for the lock. */
const callTimeout = 30_000

/** Calls to the agent at `base`, an absolute URL; it may be a sibling host of the same site. */
export function createCallAgent(browser: Browser, base: string, headers: () => Record<string, string>): CallAgent {
  return async (path, parameters) => {
    const response = await browser.fetch(base + path, {
      ...(parameters && { method: 'POST', body: new URLSearchParams(parameters) }),
      headers: { accept: 'application/json', ...headers() },
      credentials: 'include',
      cache: 'no-store',
      redirect: 'error',
      signal: AbortSignal.timeout(callTimeout),
    })
    const fields = await readFields(response)
    if (!response.ok || fields === undefined) throw new AgentError(response, fields)
    return fields
  }
}
