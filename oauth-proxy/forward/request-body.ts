import type { IncomingMessage } from 'node:http'
import { type Readable, Transform } from 'node:stream'
import { TokenHandlerError } from '../../shared/errors.ts'

/** Keeps what goes through a body, so that it can be sent a second time. */
export interface BodyCopy {
  add(chunk: Buffer): void
  /** The last chunk has been added. */
  end(): void
  /** All of it; undefined while it is not complete, and for a body longer than is kept. */
  whole(): Buffer | undefined
}

/** Longest body that is kept; a form or a JSON document of a page stays far below. */
const longestCopyBytes = 65_536

/** Creates an empty copy. */
export function createBodyCopy(): BodyCopy {
  let chunks: Buffer[] = []
  let size = 0
  let isComplete = false
  return {
    add(chunk) {
      size += chunk.length
      if (size > longestCopyBytes) chunks = []
      else chunks.push(chunk)
    },
    end() {
      isComplete = size <= longestCopyBytes
    },
    whole: () => (isComplete ? Buffer.concat(chunks) : undefined),
  }
}

/**
 * The body of a request as a stream of its own: counted, never parsed, and collected only into a `copy` that is asked for.
 *
 * It stands between the two connections because the client library destroys the stream it was given when the API answers
 * early, and the client's own stream must live to carry that answer. Fails with `payload_too_large` past the limit, and
 * with `invalid_request` when the client breaks off, so that the API never sees half a body as a whole one.
 */
export function requestBody(request: IncomingMessage, maxBytes: number, copy?: BodyCopy): Readable {
  let seen = 0
  const body = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      seen += chunk.length
      if (seen > maxBytes) done(new TokenHandlerError('payload_too_large'))
      else {
        copy?.add(chunk)
        done(null, chunk)
      }
    },
  })
  if (copy !== undefined) body.once('end', () => copy.end())
  const onClose = () => {
    if (!request.complete) body.destroy(new TokenHandlerError('invalid_request', { detail: { check: 'aborted' } }))
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
