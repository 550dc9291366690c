import type { Clock } from '../../shared/clock.ts'
import type { Config } from '../../shared/config/schema.ts'
import type { KeySource } from '../../shared/crypto/key-ring.ts'
import type { HeaderFields } from '../../shared/http/request-gate.ts'
import { parseTraceParent } from '../../shared/observe/trace-context.ts'
import type { Observe } from '../../shared/observe/events.ts'
import type { Credentials } from '../credentials/credentials.ts'
import type { DecideParts, Forward } from '../decide.ts'
import type { OwnRequestFields } from '../forward/request-headers.ts'
import type { Streams } from '../streams.ts'

/** What every edge needs to decide, to carry out and to report. */
export interface EdgeParts {
  readonly decide: DecideParts
  readonly config: Pick<Config, 'publicOrigin' | 'cors'>
  readonly keys: KeySource
  readonly credentials: Pick<Credentials, 'refused'>
  readonly streams: Streams
  readonly clock: Clock
  readonly observe: Observe
}

/** What we tell the API about a request in our own name. */
export function ownRequestFields(
  { head, route, cookies, credential, clientAddress }: Forward,
  requestId: string,
): OwnRequestFields {
  const { fields } = head
  return {
    credential,
    credentialHeader: route.credentialHeader,
    clientAddress: clientAddress(),
    publicHost: route.publicHost,
    publicProtocol: route.publicProtocol,
    requestId,
    cookies: route.visibleCookies(cookies.others),
    ...traceContext(fields),
  }
}

/** The trace of the caller, if it is well formed (W3C Trace Context §3.2); tracestate means nothing without it. */
function traceContext({ traceparent, tracestate }: HeaderFields): Pick<OwnRequestFields, 'traceparent' | 'tracestate'> {
  return parseTraceParent(traceparent) === undefined
    ? { traceparent: undefined, tracestate: undefined }
    : { traceparent, tracestate }
}
