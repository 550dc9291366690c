/** Stops a timer or a listener; calling it again does nothing. */
export type Stop = () => void

/** Messages of tabs of one profile to each other. */
export interface Channel {
  postMessage(message: unknown): void
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
  exclusively<T>(name: string, patience: AbortSignal, work: () => Promise<T>): Promise<T>
  channel(name: string): Channel | undefined
  /** Address of the page. */
  address(): URL
  /** What relative addresses of calls start from: that of the page, unless a `base` element names another. */
  base(): string
  /** Shows another address without loading it. */
  replaceAddress(url: string): void
  navigate(url: string): void
  reload(): void
  /** Null when the browser blocks it. */
  popup(name: string): Popup | null
  windowName(): string
  closeWindow(): void
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
  const locks: LockManager | undefined = navigator.locks
  return {
    fetch: (input, init) => fetch(input, init),
    now: () => Date.now(),
    random: () => Math.random(),
    after(milliseconds, run) {
      const timer = setTimeout(run, Math.min(milliseconds, longestTimer))
      return () => clearTimeout(timer)
    },
    exclusively: (name, signal, work) => (locks ? locks.request(name, { signal }, work) : work()),
    channel(name) {
      try {
        return new BroadcastChannel(name)
      } catch {
        // There is none, or the user keeps this site from storing anything (Firefox).
        return undefined
      }
    },
    address: () => new URL(location.href),
    base: () => document.baseURI,
    replaceAddress: (url) => history.replaceState(history.state, '', url),
    navigate: (url) => location.assign(url),
    reload: () => location.reload(),
    popup: (name) => open('about:blank', name, 'popup,width=480,height=720'),
    windowName: () => window.name,
    closeWindow: () => window.close(),
    isVisible: () => !document.hidden,
    hasFocus: () => document.hasFocus(),
    conceal: (hidden) => {
      const { style } = document.documentElement
      style.visibility = hidden ? 'hidden' : ''
      // What is `visible` by a rule of its own does not inherit that; dialogs in the top layer do not inherit this.
      style.opacity = style.visibility && '0'
    },
    on: (type, run) => addEventListener(type, run, { capture: true, passive: true }),
  }
}
