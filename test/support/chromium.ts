import { existsSync } from 'node:fs'
import { getuid } from 'node:process'
import { type Browser, chromium } from 'playwright-core'

const executable = '/usr/bin/chromium'

/** Keeps the browser from talking to anybody but the servers of the test. */
const quiet = [
  '--disable-background-networking',
  '--disable-client-side-phishing-detection',
  '--disable-component-update',
  '--disable-default-apps',
  '--disable-domain-reliability',
  '--disable-features=OptimizationHints,MediaRouter,Translate,AutofillServerCommunication',
  '--disable-quic',
  '--disable-sync',
  '--no-default-browser-check',
  '--no-first-run',
  '--no-pings',
]

export interface ChromiumOptions {
  readonly args?: readonly string[]
  /** Leaves the back/forward cache on, which the driver switches off. */
  readonly backForwardCache?: boolean
}

/** Starts a real Chromium; a machine without one fails the suite, because a skipped suite shows nothing. */
export async function launchChromium({ args = [], backForwardCache = false }: ChromiumOptions = {}): Promise<Browser> {
  if (!existsSync(executable)) {
    throw new Error('The browser suite needs Chromium: apt-get install -y --no-install-recommends chromium')
  }
  const sandbox = getuid?.() === 0 ? ['--no-sandbox'] : []
  return chromium.launch({
    executablePath: executable,
    args: [...quiet, ...sandbox, ...args],
    ignoreDefaultArgs: backForwardCache ? ['--disable-back-forward-cache'] : [],
  })
}
