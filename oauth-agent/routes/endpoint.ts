import type { Clock } from '../../shared/clock.ts'
import type { Config } from '../../shared/config/schema.ts'
import type { RequestCookies } from '../../shared/cookies/header.ts'
import type { CookieReader } from '../../shared/cookies/open.ts'
import type { CookieWriter } from '../../shared/cookies/write.ts'
import type { TokenHandlerError } from '../../shared/errors.ts'
import type { AuthorizationServer } from '../../shared/oauth/authorization-server.ts'
import type { Observe } from '../../shared/observe/events.ts'
import type { Store } from '../../shared/store/store.ts'
import type { FinishOnce } from '../flows/finish-once.ts'
import type { Parameters } from '../flows/parameters.ts'
import type { Refresh } from '../flows/refresh.ts'
import type { SessionState } from '../flows/session-state.ts'
import type { HtmlPage } from '../pages.ts'

/** How events name a request. */
export interface RequestMarks {
  readonly request_id: string
  /** Only where the settings want it told. */
  readonly client_address?: string | undefined
}

/** What an endpoint gets: a request that passed gate, guard and limits, with its cookies opened once. */
export interface AgentRequest {
  readonly marks: RequestMarks
  readonly parameters: Parameters
  readonly cookies: RequestCookies
  readonly session: SessionState
  /** False for a navigation that another site may have caused. */
  readonly fromOurPage: boolean
}

/** What every answer may have besides its content; `cookies` are Set-Cookie values. */
interface AnswerExtras {
  readonly cookies?: readonly string[]
  readonly headers?: Readonly<Record<string, string>>
}

/**
 * What an endpoint gives back: JSON for scripts, a page or a redirection for navigations, a failure for both.
 *
 * A failure that is given back has been reported by an event of the endpoint; one that is thrown has not.
 */
export type AgentAnswer =
  | (AnswerExtras & { readonly body: object })
  | (AnswerExtras & { readonly page: HtmlPage })
  | (AnswerExtras & { readonly redirect: string })
  | {
      readonly error: TokenHandlerError
      readonly cookies: readonly string[]
      /** Where the sign-in that failed would have ended, for another try. */
      readonly returnTo?: string | undefined
    }

/** One endpoint: a request in, an answer out. */
export type Endpoint = (request: AgentRequest) => Promise<AgentAnswer> | AgentAnswer

/** What endpoints are made of; each takes the parts it uses. */
export interface EndpointParts {
  readonly config: Config
  readonly authorizationServer: AuthorizationServer
  readonly store: Store
  /** The same without what this process alone knows. */
  readonly sharedStore: Store
  readonly clock: Clock
  readonly observe: Observe
  readonly reader: CookieReader
  readonly writer: CookieWriter
  readonly finishOnce: FinishOnce
  readonly refresh: Refresh
  readonly csrfTokenOf: (sessionId: string) => string | undefined
  /** How events name a session and its user, as far as they are known. */
  readonly pseudonyms: (facts: { readonly subject?: string | undefined; readonly sessionId?: string | undefined }) => {
    readonly subject: string | undefined
    readonly session: string | undefined
  }
}
