import type { Clock } from '../shared/clock.ts'
import { changedSettings } from '../shared/config/changed.ts'
import { ConfigError } from '../shared/config/problem.ts'
import type { ReadSettings, SettingsSource } from '../shared/config/load.ts'
import type { Config } from '../shared/config/schema.ts'
import type { Observe } from '../shared/observe/events.ts'
import { failureText } from './failure.ts'

/** A settings file that was applied, and what of it is in force now besides its routes. */
export interface Applied {
  readonly text: string
  readonly takesSecret: boolean
  /** Nothing of it waits for a restart. */
  readonly isWhole: boolean
}

/** What following the settings file needs. */
export interface FollowParts {
  readonly source: SettingsSource
  /** The text in force and what was made of it. */
  readonly text: string
  readonly config: Config
  readonly apply: (config: Config) => Promise<void>
  readonly onApplied: ((applied: Applied) => void) | undefined
  readonly clock: Clock
  readonly observe: Observe
  /** Where the problems of a refused file are reported. */
  readonly say: (text: string) => void
}

/** A settings file that is being followed. */
export interface SettingsFollower {
  /** Applies the file even if its text is the same, because files that it names may have changed. */
  reload(): void
  close(): void
}

const pollMs = 5000
/** Within which a file that is being written is expected to change again. */
const settleMs = 1000

/**
 * Applies routes and client secret of the settings file whenever it changes, and no longer does for a second: the first
 * half of a file may be good settings, with routes that do not require yet what they will.
 *
 * A file that is not good changes nothing and is reported once (FI-26), and so are routes that do not fit the settings
 * that stay in force; a changed setting that is read only at start is reported as `config.restart_needed`.
 */
export function followSettings(parts: FollowParts): SettingsFollower {
  const { source, clock, observe, say } = parts
  let { config } = parts
  /** What was read last, and what the routes in force were read from. */
  let text: string | undefined = parts.text
  let textInForce = parts.text
  let cancel = clock.after(pollMs, () => poll(text))
  let closed = false
  // One after another, so that what was read last is what stays.
  let turn = Promise.resolve()

  /** `before` is what the reading before this one found. */
  function poll(before: string | undefined): void {
    const found = readable()
    const settled = found === text || found === before
    if (settled && found !== text) take(found, (next) => next === textInForce)
    cancel = clock.after(settled ? pollMs : settleMs, () => poll(found))
  }

  function readable(): string | undefined {
    try {
      return source.readText()
    } catch {
      return undefined
    }
  }

  /** `isInForce` tells of a text that needs no applying; streams end with the routes under which they were opened. */
  function take(found: string | undefined, isInForce: (next: string) => boolean): void {
    text = found
    turn = turn.then(() => (closed ? undefined : apply(found, isInForce)))
  }

  async function apply(found: string | undefined, isInForce: (next: string) => boolean): Promise<void> {
    try {
      const next = found ?? source.readText()
      if (isInForce(next)) {
        observe.emit('config.reloaded', { part: 'routes' })
        return
      }
      const taken = await use(source.parse(next))
      textInForce = next
      parts.onApplied?.({ text: next, ...taken })
    } catch (error) {
      const problems = error instanceof ConfigError ? error.problems.length : 1
      observe.emit('config.rejected', { part: 'settings', problems })
      say(`The changed settings are not used.\n${failureText(error)}`)
    }
  }

  async function use(next: Config): Promise<Omit<Applied, 'text'>> {
    const { wanted, waiting, takesSecret } = whileRunning(config, next)
    tellRestart(waiting)
    source.check(wanted)
    await parts.apply(wanted)
    config = wanted
    observe.emit('config.reloaded', { part: 'routes' })
    if (takesSecret) observe.emit('config.reloaded', { part: 'client_secret' })
    return { takesSecret, isWhole: waiting.length === 0 }
  }

  function tellRestart(changed: readonly string[]): void {
    if (changed.length === 0) return
    const sections = new Set(changed.map((path) => path.split('.', 1)[0]))
    for (const part of sections) observe.emit('config.restart_needed', { part })
    say(`Changed, but read at start only, so the old values stay in force until a restart: ${changed.join(', ')}.`)
  }

  return {
    reload: () => take(readable(), () => false),
    close() {
      closed = true
      cancel()
    },
  }
}

/** The texts behind the settings of a process that follows its file. */
export interface SettingsInForce {
  /** What it started with, or has taken as a whole since. */
  readonly text: string
  /** What its client secret was read from. */
  readonly secretText: string
  /** What its routes were read from. */
  readonly routesText: string
}

/** The texts behind the settings of a process that has not applied any file yet. */
export function asStarted(text: string): SettingsInForce {
  return { text, secretText: text, routesText: text }
}

/** The texts behind the settings of a process that has applied one more file. */
export function afterApplied(before: SettingsInForce, { text, takesSecret, isWhole }: Applied): SettingsInForce {
  return {
    text: isWhole ? text : before.text,
    secretText: isWhole || takesSecret ? text : before.secretText,
    routesText: text,
  }
}

/** The settings in force elsewhere, to be followed from there; throws ConfigError when they can no longer be used. */
export function settingsInForce(
  source: Pick<SettingsSource, 'parse'>,
  { text, secretText, routesText }: SettingsInForce,
): ReadSettings {
  // One after the other, as the process took them: by what waits in the last text, its own secret would wait as well.
  const later = [...new Set([secretText, routesText])].filter((each) => each !== text)
  const config = later.reduce((taken, each) => whileRunning(taken, source.parse(each)).wanted, source.parse(text))
  return { text: routesText, config }
}

const clientSecret = 'client.secret'

/** What of `next` may take effect in a process that runs with `config`; `waiting` are the paths that need a restart. */
function whileRunning(
  config: Config,
  next: Config,
): { readonly wanted: Config; readonly waiting: readonly string[]; readonly takesSecret: boolean } {
  const changed = changedSettings(config, next)
  const waiting = changed.filter((path) => path !== clientSecret)
  // With another client or server it is the secret of that one: here it would be refused, and told to a stranger.
  const isOfAnother = waiting.some((path) => /^(?:client|authorization_server|insecure_allow_http)\b/.test(path))
  const takesSecret = waiting.length < changed.length && !isOfAnother
  const { routes } = next.proxy
  return {
    wanted: {
      ...config,
      ...(takesSecret && { client: next.client }),
      proxy: { ...config.proxy, routes },
    },
    waiting: takesSecret ? waiting : changed,
    takesSecret,
  }
}
