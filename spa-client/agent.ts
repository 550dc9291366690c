import type { Browser } from './browser.ts'

/** An answer of agent or proxy that is an error; `code` is a row of their table of errors. */
export class AgentError extends Error {
  override readonly name = 'AgentError'
  readonly code: string
  readonly status: number
  /** Further members of the answer, such as `acr_values` or `sizes`. */
  readonly fields: Readonly<Record<string, unknown>>
  /** The answer itself, its body unread. */
  readonly response: Response

  constructor(response: Response, fields: Readonly<Record<string, unknown>>) {
    const code = typeof fields['error_code'] === 'string' ? fields['error_code'] : 'server_error'
    super(code)
    this.code = code
    this.status = response.status
    this.fields = fields
    this.response = response
  }

  /** Seconds to wait before trying again, if the answer says so. */
  get retryAfter(): number | undefined {
    const seconds = Number(this.fields['retry_after'] ?? this.response.headers.get('retry-after') ?? Number.NaN)
    return Number.isFinite(seconds) ? seconds : undefined
  }
}

/** Reads an error of agent or proxy without consuming its answer. */
export async function readError(response: Response): Promise<AgentError> {
  const fields: unknown = await response
    .clone()
    .json()
    .catch(() => undefined)
  return new AgentError(response, typeof fields === 'object' && fields !== null ? { ...fields } : {})
}

/** Calls to the endpoints of the agent. */
export interface AgentCalls {
  /** Throws `AgentError`, or the `TypeError` of fetch when the network is down. */
  get(path: string): Promise<Record<string, unknown>>
  post(path: string, parameters?: Readonly<Record<string, string>> | URLSearchParams): Promise<Record<string, unknown>>
}

/** A hung call must not keep other tabs waiting for the lock. */
const callTimeout = 30_000

/** Calls to the agent at `base`, an absolute URL; it may be a sibling host of the same site. */
export function createAgentCalls(browser: Browser, base: string, headers: () => Record<string, string>): AgentCalls {
  const call = async (path: string, init: RequestInit): Promise<Record<string, unknown>> => {
    const response = await browser.fetch(base + path, {
      ...init,
      headers: { accept: 'application/json', ...headers() },
      credentials: 'include',
      cache: 'no-store',
      redirect: 'error',
      signal: AbortSignal.timeout(callTimeout),
    })
    if (!response.ok) throw await readError(response)
    const answer: unknown = await response
      .clone()
      .json()
      .catch(() => undefined)
    if (typeof answer !== 'object' || answer === null) throw new AgentError(response, {})
    return { ...answer }
  }
  return {
    get: (path) => call(path, { method: 'GET' }),
    post: (path, parameters) => call(path, { method: 'POST', body: new URLSearchParams(parameters) }),
  }
}
