import type { IncomingMessage } from 'node:http'
import { type Readable, Transform } from 'node:stream'
import { TokenHandlerError } from '../../shared/errors.ts'

/**
 * The body of a request as a stream of its own: counted, never parsed or collected.
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
