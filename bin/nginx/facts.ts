/** What nginx needs to know that is not a setting. */
export interface NginxFacts {
  /** Full name of the access cookie. */
  readonly accessCookie: string
  /** Prefixes of the names of all our cookies. */
  readonly ownPrefixes: readonly string[]
  /** Values of Host under which the public origin is asked for. */
  readonly hosts: readonly string[]
  /** Request fields of clients that no API sees. */
  readonly managedRequestFields: readonly string[]
  /** How the names of further such fields begin. */
  readonly managedRequestPrefixes: readonly string[]
  /** Response fields of APIs that no browser sees. */
  readonly refusedResponseFields: readonly string[]
  /** How the names of further such fields begin. */
  readonly refusedResponsePrefixes: readonly string[]
  /** Folder that holds token_handler.lua. */
  readonly luaFolder: string
  /** Certificate authorities for APIs that name none. */
  readonly caFile: string
}

/** Fields that browsers send and whose family is managed; naming them saves the module the work of taking them out. */
export const browserFields = [
  'sec-ch-ua',
  'sec-ch-ua-mobile',
  'sec-ch-ua-platform',
  'sec-fetch-dest',
  'sec-fetch-mode',
  'sec-fetch-site',
  'sec-fetch-storage-access',
  'sec-fetch-user',
  'sec-gpc',
  'token-handler-version',
]
/** Fields that the module takes out itself where their values are not well formed, so that the others go on. */
export const tracedFields = ['traceparent', 'tracestate']
/** Fields for which nginx has values of its own. */
export const nginxFields = [
  'connection',
  'content-length',
  'expect',
  'host',
  'keep-alive',
  'te',
  'transfer-encoding',
  'upgrade',
]
