import { existsSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'

/** A tab of a browser that is driven by one of the W3C protocols. */
export interface Tab {
  goto(url: string): Promise<void>
  /** The value of a JavaScript expression in the page, which may be a promise; it must survive JSON. */
  read(expression: string): Promise<unknown>
}

/** A browser with an empty profile; all its tabs share cookies. */
export interface Engine {
  newTab(): Promise<Tab>
  close(): Promise<void>
}

/** Throws Error with the packages to install when a program is missing, because a skipped suite shows nothing. */
export function needPrograms(paths: readonly string[], packages: string): void {
  const missing = paths.filter((path) => !existsSync(path))
  if (missing.length === 0) return
  throw new Error(`Missing: ${missing.join(', ')}. Install: apt-get install -y --no-install-recommends ${packages}`)
}

/** Waits until an expression is true; throws Error with the text of the page when it does not become so. */
export async function until(tab: Tab, expression: string, timeoutMs = 20_000): Promise<void> {
  const end = performance.now() + timeoutMs
  // While a page gives way to the next one, nothing can be read from either.
  while ((await tab.read(`Boolean(${expression})`).catch(() => false)) !== true) {
    if (performance.now() > end) {
      const shown = await tab.read('location.href + "\\n" + document.body.innerText').catch(String)
      throw new Error(`never true: ${expression}\n${String(shown)}`)
    }
    await pause(50)
  }
}
