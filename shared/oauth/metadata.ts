import * as oauth from 'oauth4webapi'
import { type Clock, isWithin } from '../clock.ts'
import { failureCode } from '../failure-code.ts'
import type { Observe } from '../observe/events.ts'
import type { CallThroughTransport } from './call-options.ts'
import { asProviderError } from './failure.ts'
import { ProviderAnswerInvalid } from './provider-error.ts'

/** Authorization server metadata that passed our checks (RFC 8414 §2). */
export interface Metadata extends oauth.AuthorizationServer {
  readonly authorization_endpoint: string
  readonly token_endpoint: string
  readonly jwks_uri: string
}

/** Least time between two attempts to renew metadata that is still in use. */
const renewalPauseMs = 10_000

/**
 * Creates a source of the metadata of `issuer`: fetched on first use, one fetch at a time, renewed when old.
 *
 * A copy that is old stays in use while the renewal runs or fails, so that an outage of the document is not an outage
 * of ours.
 */
export function createMetadataSource(parts: {
  issuer: string
  maxAgeSeconds: number
  allowHttp: boolean
  needsDpop: boolean
  options: CallThroughTransport
  clock: Clock
  observe: Observe
}): () => Promise<Metadata> {
  const { issuer, maxAgeSeconds, allowHttp, needsDpop, options, clock, observe } = parts
  let present: { readonly metadata: Metadata; readonly loadedMs: number } | undefined
  let renewedMs = Number.NEGATIVE_INFINITY
  let flight: Promise<Metadata> | undefined

  async function fetchOnce(): Promise<Metadata> {
    try {
      const url = new URL(issuer)
      const response = await oauth.discoveryRequest(url, options)
      const metadata = parseMetadata(withoutNulls(await oauth.processDiscoveryResponse(url, response)), {
        issuer,
        allowHttp,
        needsDpop,
      })
      present = { metadata, loadedMs: clock.nowMs() }
      return metadata
    } catch (error) {
      const failure = isOtherIssuer(error)
        ? new ProviderAnswerInvalid('metadata', 'issuer', error)
        : asProviderError(error, 'metadata')
      if (failure instanceof ProviderAnswerInvalid) {
        observe.emit('provider.unavailable', { endpoint: 'metadata', reason: failure.check })
      }
      throw failure
    }
  }

  function load(): Promise<Metadata> {
    flight ??= fetchOnce().finally(() => {
      flight = undefined
    })
    return flight
  }

  return () => {
    if (present === undefined) return load()
    const isOld = !isWithin(clock, present.loadedMs, maxAgeSeconds * 1000)
    if (isOld && !isWithin(clock, renewedMs, renewalPauseMs)) {
      renewedMs = clock.nowMs()
      load().catch(() => {})
    }
    return Promise.resolve(present.metadata)
  }
}

function isOtherIssuer(error: unknown): boolean {
  // The library makes a URL of what the document names.
  if (failureCode(error) === 'ERR_INVALID_URL') return true
  return error instanceof oauth.OperationProcessingError && error.code === oauth.JSON_ATTRIBUTE_COMPARISON
}

/** Serialisers that write every member give null to those that are not there. */
function withoutNulls(metadata: oauth.AuthorizationServer): oauth.AuthorizationServer {
  const present = Object.entries(metadata).filter(([, value]) => value !== null)
  return { issuer: metadata.issuer, ...Object.fromEntries(present) }
}

/** Throws ProviderAnswerInvalid, naming the check. */
function parseMetadata(
  metadata: oauth.AuthorizationServer,
  { issuer, allowHttp, needsDpop }: { issuer: string; allowHttp: boolean; needsDpop: boolean },
): Metadata {
  // The library compares URLs after normalising them; a trailing slash or case must not pass (RFC 8414 §3.3).
  if (metadata.issuer !== issuer) throw new ProviderAnswerInvalid('metadata', 'issuer')
  // A server that lists its PKCE methods and leaves S256 out would ignore the challenge (RFC 9700 §2.1.1).
  if (leavesOut(metadata.code_challenge_methods_supported, 'S256')) throw new ProviderAnswerInvalid('metadata', 'pkce')
  // A server that takes no ES256 proof would refuse every sign-in at its end, when the code is used up (RFC 9449 §5.1).
  if (needsDpop && leavesOut(metadata.dpop_signing_alg_values_supported, 'ES256')) {
    throw new ProviderAnswerInvalid('metadata', 'dpop')
  }
  const endpoint = (name: 'authorization_endpoint' | 'token_endpoint' | 'jwks_uri'): string => {
    const value: unknown = metadata[name]
    if (typeof value !== 'string' || !URL.canParse(value)) throw new ProviderAnswerInvalid('metadata', name)
    const { protocol } = new URL(value)
    if (protocol !== 'https:' && !(allowHttp && protocol === 'http:')) throw new ProviderAnswerInvalid('metadata', name)
    return value
  }
  return {
    ...metadata,
    authorization_endpoint: endpoint('authorization_endpoint'),
    token_endpoint: endpoint('token_endpoint'),
    jwks_uri: endpoint('jwks_uri'),
  }
}

/** True for what says what a server takes, and does not list `value`; a server that says nothing may take it. */
function leavesOut(listed: unknown, value: string): boolean {
  return listed !== undefined && !(Array.isArray(listed) && listed.includes(value))
}
