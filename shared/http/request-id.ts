import { randomUUID } from 'node:crypto'

const ids = new WeakMap<object, string>()

/**
 * Our own id of a request, 32 hexadecimal digits: made at the first asking, the same at every later one.
 *
 * None is ever taken from outside, where it could be chosen to collide, to mislead a search of the log or to forge a line.
 */
export function requestIdOf(request: object): string {
  const known = ids.get(request)
  if (known !== undefined) return known
  const id = randomUUID().replaceAll('-', '')
  ids.set(request, id)
  return id
}
