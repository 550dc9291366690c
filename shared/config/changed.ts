import { isDeepStrictEqual } from 'node:util'
import { isJsonObject } from '../json-object.ts'
import { Secret } from '../secret.ts'
import { type Config, type Route, schema } from './schema.ts'
import { toSnakeCase } from './walk.ts'

/** Paths of the settings in which two configurations differ, without the routes; a list counts as one setting. */
export function changedSettings(before: Config, after: Config): string[] {
  return differences(withoutRoutes(before), withoutRoutes(after), '')
}

/** True for routes that differ in no setting, and in no secret. */
export function isSameRoute(before: Route, after: Route): boolean {
  return differences(before, after, '').length === 0
}

function withoutRoutes(config: Config): unknown {
  return toSnakeCase(schema, { ...config, proxy: { ...config.proxy, routes: [] } })
}

function differences(before: unknown, after: unknown, path: string): string[] {
  if (before instanceof Secret && after instanceof Secret) return before.reveal() === after.reveal() ? [] : [path]
  if (!isJsonObject(before) || !isJsonObject(after)) return isDeepStrictEqual(before, after) ? [] : [path]
  const names = new Set([...Object.keys(before), ...Object.keys(after)])
  return [...names].flatMap((name) => differences(before[name], after[name], path === '' ? name : `${path}.${name}`))
}
