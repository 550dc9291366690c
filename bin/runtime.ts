import { CommandError, exitConfig } from './failure.ts'

/**
 * First release of each line that lacks the holes of July 2026 in TLS host checks and connection reuse
 * (CVE-2026-48618, CVE-2026-48930, CVE-2026-48931).
 */
export const floors: Readonly<Record<number, readonly [number, number]>> = { 22: [23, 2], 24: [18, 1], 26: [5, 1] }

/** Refuses a Node release that is known to be unsafe or too old to run this (N09). */
export function checkRuntime({ versions }: { readonly versions: { readonly node: string } }): void {
  const [major = 0, minor = 0, patch = 0] = versions.node.split('.').map(Number)
  const floor = floors[major]
  const supported = Object.keys(floors).map(Number)
  const tooOld = major < Math.min(...supported)
  const unsafe = floor !== undefined && (minor < floor[0] || (minor === floor[0] && patch < floor[1]))
  // Odd lines get no security releases once the next line is out.
  const abandoned = floor === undefined && major < Math.max(...supported)
  if (!tooOld && !unsafe && !abandoned) return
  const wanted = Object.entries(floors).map(([line, [first, second]]) => `${line}.${first}.${second}`)
  throw new CommandError(
    `Node ${versions.node} is ${tooOld ? 'too old' : 'known to be unsafe'}. Use ${wanted.join(', ')} or later.`,
    exitConfig,
  )
}

/** What to say of a process that can be debugged from outside (N08), or undefined. */
export function inspectorWarning({
  execArgv,
  nodeOptions,
}: {
  readonly execArgv: readonly string[]
  readonly nodeOptions: string | undefined
}): string | undefined {
  const flags = [...execArgv, ...(nodeOptions ?? '').split(/\s+/)]
  if (!flags.some((flag) => /^--inspect(?:-brk|-wait|-port)?(?:=|$)/.test(flag))) return undefined
  return 'The debugger is open (--inspect): whoever reaches its port can read every key and token of this process.'
}
