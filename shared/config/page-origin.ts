import type { Config } from './schema.ts'

/** Origin of the pages of the SPA: where the authorization server returns to and what `return_to` is a path of. */
export function pageOriginOf({ pageOrigin, publicOrigin }: Pick<Config, 'pageOrigin' | 'publicOrigin'>): string {
  return pageOrigin ?? publicOrigin
}
