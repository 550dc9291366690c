import type { IncomingMessage } from 'node:http'
import { type Readable, Transform } from 'node:stream'
import { TokenHandlerError } from '../../shared/errors.ts'
import { browserGone } from './failure.ts'

/** What has come of a body, kept so that it can be sent a second time. */
export interface BodyCopy {
  /** All of it, once it has come; undefined for a body longer than is kept, and where the client breaks off. */
  whole(): Promise<Buffer | undefined>
  /** Lets go of it. */
  drop(): void
}

/** Longest body that is kept; a form or a JSON document of a page stays far below. */
const longestCopyBytes = 65_536

const nothing = Buffer.alloc(0)

/**
 * Copies the body of a request as it comes, before anybody else reads it.
 *
 * An API that refuses a proof need not wait for the body: what comes later is copied as well. It goes into one buffer: kept
 * as they came, chunks of one byte would take hundreds of times the memory that they fill.
 */
export function copyBody(request: Readable, maxBytes: number): BodyCopy {
  const longest = Math.min(longestCopyBytes, maxBytes)
  let bytes = nothing
  let size = 0
  let state: 'coming' | 'whole' | 'dropped' = 'coming'
  let tell: () => void = () => {}
  const onData = (chunk: Buffer) => {
    const needed = size + chunk.length
    if (needed > longest) {
      drop()
      return
    }
    if (needed > bytes.length) {
      const larger = Buffer.alloc(Math.min(longest, Math.max(needed, 2 * size)))
      bytes.copy(larger, 0, 0, size)
      bytes = larger
    }
    chunk.copy(bytes, size)
    size = needed
  }
  const onEnd = () => {
    state = 'whole'
    settle()
  }
  const settle = () => {
    request.off('data', onData).off('end', onEnd).off('close', drop)
    tell()
  }
  function drop(): void {
    state = 'dropped'
    bytes = nothing
    settle()
  }
  request.on('data', onData).on('end', onEnd).on('close', drop)

  return {
    async whole() {
      if (state === 'coming') await new Promise<void>((resolve) => void (tell = resolve))
      return state === 'whole' ? bytes.subarray(0, size) : undefined
    },
    drop,
  }
}

/**
 * The body of a request as a stream of its own: counted, never parsed, never collected.
 *
 * It stands between the two connections because the client library destroys the stream it was given when the API answers
 * early, and the client's own stream must live to carry that answer. Fails with `payload_too_large` past the limit, and
 * with `invalid_request` when the client breaks off, so that the API never sees half a body as a whole one.
 */
export function requestBody(request: IncomingMessage, maxBytes: number): Readable {
  let seen = 0
  const body = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      seen += chunk.length
      if (seen > maxBytes) done(new TokenHandlerError('payload_too_large'))
      else done(null, chunk)
    },
  })
  const onClose = () => {
    if (!request.complete) body.destroy(browserGone())
  }
  request.once('close', onClose)
  body.once('close', () => {
    request.off('close', onClose)
    request.unpipe(body)
    // What nobody reads any more is drained, or the connection could never be used again.
    request.resume()
  })
  // Errors reach the API call through the client library; without a listener they would end the process.
  body.on('error', () => {})
  return request.pipe(body)
}
