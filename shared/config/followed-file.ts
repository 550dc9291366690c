import { isDeepStrictEqual } from 'node:util'
import type { Clock } from '../clock.ts'
import type { Observe } from '../observe/events.ts'
import { ConfigError } from './problem.ts'

interface FollowParts<Content, Value> {
  /** What the file is called in events. */
  readonly part: 'keys' | 'certificate'
  /** What the file holds now, or the files that belong together. */
  readonly read: () => Promise<Content>
  /** Throws ConfigError for content that this process cannot use. */
  readonly parse: (content: Content) => Value
  /** True for content that the next reading may complete: a refusal of it waits until then. */
  readonly isHalfReplaced?: (content: Content) => boolean
  /** What `config.reloaded` says of it. */
  readonly about?: (value: Value) => { readonly key_id: string }
  readonly clock: Pick<Clock, 'after'>
  readonly observe: Observe
  readonly pollSeconds?: number
  /** Called with the reasons why a changed file is not used. */
  readonly onRejected: (error: unknown) => void
}

/** What follows from a file, for as long as the file is followed. */
export interface FollowedFile<Value> {
  current(): Value
  /** `listener` gets each value that takes the place of another; what it throws keeps the other in force. */
  onChange(listener: (next: Value) => void): void
  /** Reads the file now instead of at the next poll. */
  reload(): Promise<void>
  close(): void
}

/**
 * Reads a file and then checks every `pollSeconds` (5) whether its content has changed.
 *
 * Polling sees what notifications miss: network file systems, and secrets that an orchestrator swaps by a symbolic
 * link. A file that cannot be read or used leaves the value in force and is reported once as `config.rejected` (FI-26);
 * only here, at the first reading, does it throw. Files that are replaced one after the other are given one reading more
 * to become whole, but no second one, so that files that keep changing cannot put the report off.
 */
export async function followFile<Content, Value>({
  part,
  read,
  parse,
  isHalfReplaced = () => false,
  about,
  clock,
  observe,
  onRejected,
  pollSeconds = 5,
}: FollowParts<Content, Value>): Promise<FollowedFile<Value>> {
  let content: Content | undefined = await read()
  let value = parse(content)
  const listeners: ((next: Value) => void)[] = []
  /** Whether `content` was refused and nothing has been said of it yet. */
  let waiting = false
  let closed = false
  let reading: Promise<void> | undefined
  let cancel = clock.after(pollSeconds * 1000, poll)

  return {
    current: () => value,
    onChange: (listener) => void listeners.push(listener),
    reload,
    close() {
      closed = true
      cancel()
    },
  }

  function poll(): void {
    void reload().then(() => {
      if (!closed) cancel = clock.after(pollSeconds * 1000, poll)
    })
  }

  function reload(): Promise<void> {
    reading ??= readAgain().finally(() => {
      reading = undefined
    })
    return reading
  }

  async function readAgain(): Promise<void> {
    let failure: unknown
    const found = await read().catch((error: unknown) => {
      failure = error
      return undefined
    })
    if ((isDeepStrictEqual(found, content) && !waiting) || closed) return
    const waited = waiting
    waiting = false
    content = found
    if (found === undefined) return reject(failure)
    try {
      use(parse(found))
    } catch (error) {
      if (!waited && isHalfReplaced(found)) waiting = true
      else reject(error)
    }
  }

  function use(next: Value): void {
    for (const listener of listeners) listener(next)
    value = next
    observe.emit('config.reloaded', { part, ...about?.(next) })
  }

  function reject(error: unknown): void {
    observe.emit('config.rejected', { part, problems: error instanceof ConfigError ? error.problems.length : 1 })
    onRejected(error)
  }
}
