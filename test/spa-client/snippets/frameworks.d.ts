/** The few functions of the frameworks that the snippets of spa-client/README.md call, so that they compile without them. */
declare module 'react' {
  export function useSyncExternalStore<T>(
    subscribe: (changed: () => void) => () => void,
    read: () => T,
    readOnServer?: () => T,
  ): T
}

declare module 'vue' {
  export interface ShallowRef<T> {
    value: T
  }
  export function shallowRef<T>(value: T): ShallowRef<T>
  export function readonly<T extends object>(target: T): Readonly<T>
}

declare module '@angular/core' {
  export interface WritableSignal<T> {
    (): T
    set(value: T): void
  }
  export function signal<T>(value: T): WritableSignal<T>
  export function Injectable(options: { readonly providedIn: 'root' }): (target: object) => void
}
