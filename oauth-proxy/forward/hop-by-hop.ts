/** Names of fields that mean something to one connection only (RFC 9110 §7.6.1), and of those that speak to proxies. */
export const hopByHop: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-authentication-info',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
])

const none: ReadonlySet<string> = new Set()

/** The names that a Connection field declares to be hop-by-hop, lower-cased. */
export function connectionOptions(connection: string | undefined): ReadonlySet<string> {
  if (connection === undefined || connection === 'keep-alive' || connection === 'close') return none
  return new Set(connection.split(',').map((option) => option.trim().toLowerCase()))
}
