import { asksForTokens } from '../../oauth-proxy/credentials/credentials.ts'
import type { Config } from '../../shared/config/schema.ts'
import type { Mode } from '../parts.ts'

/** Whether such a process ever asks the authorization server: a proxy only does where a route needs tokens of it. */
export function asksProvider({ proxy }: Pick<Config, 'proxy'>, mode: Mode | undefined): boolean {
  return mode !== 'proxy' || proxy.routes.some(asksForTokens)
}
