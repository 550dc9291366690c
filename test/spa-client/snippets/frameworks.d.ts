/** The few functions of frameworks and libraries that the snippets of spa-client/README.md call, so that they compile without them. */
declare module 'react' {
  export function useSyncExternalStore<T>(
    subscribe: (changed: () => void) => () => void,
    read: () => T,
    readOnServer?: () => T,
  ): T
  export function useEffect(effect: () => void, dependencies: readonly unknown[]): void
}

declare module 'next/navigation' {
  export function useRouter(): { replace(path: string): void }
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

declare module '@angular/common/http' {
  import type { Observable } from 'rxjs'

  interface HttpRequest {
    readonly url: string
    clone(update: { readonly setHeaders: Readonly<Record<string, string>> }): HttpRequest
  }
  type HttpHandlerFn = (request: HttpRequest) => Observable<unknown>
  export type HttpInterceptorFn = (request: HttpRequest, next: HttpHandlerFn) => Observable<unknown>
}

declare module 'rxjs' {
  type Step<T, R> = (source: Observable<T>) => Observable<R>
  export interface Observable<T> {
    pipe<R>(step: Step<T, R>, last?: Step<R, R>): Observable<R>
  }
  export function from<T>(value: Promise<T>): Observable<T>
  export function switchMap<T, R>(run: (value: T) => Observable<R>): Step<T, R>
  export function tap<T>(observer: { readonly error: (error: { readonly status?: number }) => void }): Step<T, T>
}

type Fetch = (input: string | URL | Request, init?: RequestInit) => Promise<Response>

declare module 'axios' {
  const axios: {
    create(settings: {
      readonly baseURL: string
      readonly adapter: 'fetch'
      readonly env: { readonly fetch: Fetch }
    }): object
  }
  export default axios
}

declare module 'ky' {
  const ky: { create(settings: { readonly prefix: string; readonly fetch: Fetch }): object }
  export default ky
}

declare module 'openapi-fetch' {
  export default function createClient(settings: {
    readonly baseUrl: string
    readonly fetch: (input: Request) => Promise<Response>
  }): object
}
