/** Stops a timer or a listener; calling it again does nothing. */
export type Stop = () => void

/** Messages of tabs of one profile to each other. */
export interface Channel {
  postMessage(message: unknown): void
  close(): void
  onmessage: ((event: MessageEvent<unknown>) => void) | null
}

/** A window that was opened for a sign-in. */
export interface Popup {
  readonly closed: boolean
  readonly location: Pick<Location, 'replace'>
  close(): void
}

/** Everything that the client needs of the browser, in one place so that tests can hand in their own. */
export interface Browser {
  fetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response>
  /** Milliseconds since 1970; goes on while the machine sleeps. */
  now(): number
  /** Between 0 and 1. */
  random(): number
  after(milliseconds: number, run: () => void): Stop
  /** Runs `work` while no other tab runs work of this name; at once where the browser has no Web Locks. */
  inTurn<T>(name: string, patience: AbortSignal, work: () => Promise<T>): Promise<T>
  channel(name: string): Channel | undefined
  readonly window: Pick<Window, 'name' | 'close'> & {
    readonly location: Pick<Location, 'href' | 'assign' | 'reload'>
    readonly history: Pick<History, 'state' | 'replaceState'>
  }
  /** What relative addresses of calls start from: that of the page, unless a `base` element names another. */
  base(): string
  /** Null when the browser blocks it. */
  popup(name: string): Popup | null
  isVisible(): boolean
  hasFocus(): boolean
  /** Hides the page, or shows it again. */
  conceal(hidden: boolean): void
  /** Calls `run` at every such event of the window or anything in it. */
  on(type: string, run: (event: Event) => void): void
}

/** Longer delays overflow the timer and fire at once. */
const longestTimer = 2 ** 31 - 1

/** The browser this script runs in. */
export function thisBrowser(): Browser {
  const { locks }: Partial<Navigator> = navigator
  // A worker has none.
  const { document: page }: Partial<Window> = self
  return {
    fetch: (input, init) => fetch(input, init),
    now: () => Date.now(),
    random: () => Math.random(),
    after(milliseconds, run) {
      const timer = setTimeout(run, Math.min(milliseconds, longestTimer))
      return () => clearTimeout(timer)
    },
    inTurn: (name, signal, work) => locks?.request(name, { signal }, work) ?? work(),
    channel(name) {
      try {
        return new BroadcastChannel(name)
      } catch {
        // There is none, or the user keeps this site from storing anything (Firefox).
        return undefined
      }
    },
    window: self,
    base: () => page?.baseURI ?? location.href,
    popup: (name) => open('about:blank', name, 'popup,width=480,height=720'),
    isVisible: () => !page?.hidden,
    hasFocus: () => document.hasFocus(),
    conceal: (hidden) => {
      const { style } = document.documentElement
      style.visibility = hidden ? 'hidden' : ''
      // What is `visible` by a rule of its own does not inherit that; dialogs in the top layer do not inherit this.
      style.opacity = hidden ? '0' : ''
    },
    on: (type, run) => addEventListener(type, run, { capture: true, passive: true }),
  }
}
