type CamelKey<S extends string> = S extends `${infer Head}_${infer Tail}` ? `${Head}${Capitalize<CamelKey<Tail>>}` : S

/** The shape of a settings file as the code sees it: snake_case keys become camelCase, records keep their keys. */
export type CamelCased<T> = T extends readonly (infer Item)[]
  ? CamelCased<Item>[]
  : T extends Opaque
    ? T
    : T extends object
      ? { [K in keyof T as K extends string ? (string extends K ? K : CamelKey<K>) : K]: CamelCased<T[K]> }
      : T

/** Values that are leaves of the settings tree although they are objects. */
type Opaque = Date | RegExp | { reveal(): string }

/** `idle_seconds` becomes `idleSeconds`. */
export function camelKey(key: string): string {
  return key.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
}
