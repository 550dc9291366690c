import type { Route } from './schema.ts'

/** Where the API of a route runs: at least one URL, in the order of the settings. */
export function upstreamsOf({ upstream }: Pick<Route, 'upstream'>): readonly string[] {
  return typeof upstream === 'string' ? [upstream] : upstream
}
