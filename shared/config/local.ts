/** False for the `*.example.com` and the like that the URL parser admits: no such host can be looked up, or be meant. */
export function isSingleHost(hostname: string): boolean {
  return /^(?:[\w.-]+|\[[\da-f:.]+\])$/.test(hostname)
}

/** True when only this machine can be meant: `localhost`, names below it, 127.0.0.0/8 and ::1 (RFC 6761 §6.3). */
export function isLoopbackHost(hostname: string): boolean {
  const host = hostname.toLowerCase()
  return (
    host === 'localhost' ||
    host.endsWith('.localhost') ||
    host === '[::1]' ||
    host === '::1' ||
    /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host)
  )
}

/** True for an origin on this machine. */
export function isLocalOrigin(origin: string): boolean {
  return isLoopbackHost(new URL(origin).hostname)
}
