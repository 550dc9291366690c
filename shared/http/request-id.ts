import { randomBytes } from 'node:crypto'

const requestId = Symbol('request id')

/** Kept on the request itself: a separate table would cost the garbage collector more than all else here. */
interface Identified {
  [requestId]?: string
}

const idDigits = 32
const idsAtOnce = 256
let digits = ''
let used = 0

/**
 * Our own id of a request, 32 hexadecimal digits: made at the first asking, the same at every later one.
 *
 * None is ever taken from outside, where it could be chosen to collide, to mislead a search of the log or to forge a line.
 */
export function requestIdOf(request: object & Identified): string {
  const known = request[requestId]
  if (known !== undefined) return known
  // Drawing and spelling random bytes for many ids at once costs a tenth of doing it one by one.
  if (used === digits.length) {
    digits = randomBytes((idDigits / 2) * idsAtOnce).toString('hex')
    used = 0
  }
  const id = digits.slice(used, used + idDigits)
  used += idDigits
  request[requestId] = id
  return id
}
