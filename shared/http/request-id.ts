import { randomBytes } from 'node:crypto'

const requestId = Symbol('request id')

/** Kept on the request itself: a separate table would cost the garbage collector more than all else here. */
interface Identified {
  [requestId]?: string
}

const idBytes = 16
const poolIds = 256
let pool = Buffer.alloc(0)

/**
 * Our own id of a request, 32 hexadecimal digits: made at the first asking, the same at every later one.
 *
 * None is ever taken from outside, where it could be chosen to collide, to mislead a search of the log or to forge a line.
 */
export function requestIdOf(request: object & Identified): string {
  const known = request[requestId]
  if (known !== undefined) return known
  // Drawing random bytes for many ids at once costs a tenth of drawing them one by one.
  if (pool.length === 0) pool = randomBytes(idBytes * poolIds)
  const id = pool.toString('hex', 0, idBytes)
  pool = pool.subarray(idBytes)
  request[requestId] = id
  return id
}
