/**
 * The parameters with which the authorization server sent the browser back, if the page's address holds them.
 *
 * A response is `code` and `state`, `error` and `state`, or `response` alone (JARM §2.3.1).
 */
export function callbackParameters(href: string): URLSearchParams | undefined {
  const { searchParams } = new URL(href)
  const answered = searchParams.has('state') && (searchParams.has('code') || searchParams.has('error'))
  const signed = searchParams.has('response') && [...searchParams].length === 1
  return answered || signed ? searchParams : undefined
}
