/**
 * True if a part of the page's address holds what the authorization server sends a browser back with.
 *
 * A response is `code` and `state`, `error` and `state`, or `response` alone (JARM §2.3.1).
 */
export function isResponse(part: URLSearchParams): boolean {
  const answered = part.has('state') && (part.has('code') || part.has('error'))
  // Without a value it is the anchor of a section of that name.
  const signed = Boolean(part.get('response')) && [...part].length === 1
  return answered || signed
}
