import { TokenHandlerError } from '../../shared/errors.ts'
import { corsHeaders } from '../../shared/http/cors.ts'
import { secretOf } from '../credentials/credential.ts'
import type { Forward } from '../decide.ts'
import { upstreamRefusal } from '../forward/challenge.ts'
import { publicLocation } from '../forward/location.ts'
import {
  type ResponseHeaders,
  type UpstreamFields,
  browserResponseHeaders,
  combinedValue,
  holdsCredential,
} from '../forward/response-headers.ts'
import type { Upstream } from '../forward/upstreams.ts'
import type { ProxyRoute } from '../proxy-route.ts'
import type { EdgeParts, Proving } from './edge.ts'

/**
 * Makes the head for the browser out of an API's, for one call.
 *
 * What it answers throws TokenHandlerError for what the browser must not see: a refusal that speaks to whoever holds the
 * token, a redirect that leads elsewhere, an answer that can be read in two ways.
 */
export function browserHead(
  { head, route, session, credential }: Forward,
  path: string,
  proved: Proving | undefined,
  requestId: string,
  { config, credentials }: Pick<EdgeParts, 'config' | 'credentials'>,
): (status: number, fields: UpstreamFields, upstream: Pick<Upstream, 'origin'>) => ResponseHeaders {
  const { setting } = route
  // A visitor may sign in, and then calls with something else.
  const sent = session === undefined ? 'none' : setting.credential.kind
  return (status, fields, upstream) => {
    proved?.check(status, fields, upstream)
    const credentialValue = credential === undefined ? undefined : secretOf(credential)
    const refusal = upstreamRefusal(status, fields, credentialValue, sent)
    if (refusal !== undefined) {
      if (refusal.code === 'upstream_unauthorized') credentials.refused(setting, session, credential)
      throw refusal
    }
    return browserResponseHeaders(fields, {
      credentialValue,
      allowSetCookie: setting.allowSetCookie,
      requestId,
      cors: corsHeaders(head.fields.origin, config),
      location: visibleLocation(
        status,
        combinedValue(fields.location),
        { origin: upstream.origin, path, credentialValue },
        route,
      ),
    })
  }
}

/** A redirect that may not be shown is no answer at all; elsewhere a Location can be left out (RFC 9110 §15.4). */
function visibleLocation(
  status: number,
  location: string | undefined,
  asked: { readonly origin: string; readonly path: string; readonly credentialValue: string | undefined },
  { setting, publicProtocol, publicHost }: ProxyRoute,
): string | undefined {
  if (location === undefined) return undefined
  const { stripPrefix, addPrefix, redirectOrigins } = setting
  const policy = {
    upstreamOrigin: asked.origin,
    publicOrigin: `${publicProtocol}://${publicHost}`,
    upstreamPath: asked.path,
    stripPrefix,
    addPrefix,
    redirectOrigins,
  }
  const visible = holdsCredential(location, asked.credentialValue) ? undefined : publicLocation(location, policy)
  if (visible === undefined && status >= 300 && status < 400) {
    throw new TokenHandlerError('upstream_invalid_response', { detail: { check: 'location' } })
  }
  return visible
}
