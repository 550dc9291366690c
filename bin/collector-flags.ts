import { setFlagsFromString } from 'node:v8'

/** Buffers outside the heap count with the heap, instead of starting to mark it each time 64 MB of them have piled up. */
const countBuffersWithHeap = '--external-memory-accounted-in-global-limit'
/** Where next to nothing survives, waking other threads to help takes longer than their help saves. */
const collectAlone = ['--no-parallel-scavenge', '--no-concurrent-array-buffer-sweeping']

/** By release line, since V8 prints a complaint about a flag that it does not know; other lines are left alone. */
const flagsByLine: Readonly<Record<string, readonly string[]>> = {
  24: ['--scavenger-max-new-space-capacity-mb=1', countBuffersWithHeap, ...collectAlone],
  26: [countBuffersWithHeap],
}

/**
 * Suits V8's garbage collector to a process that carries bodies.
 *
 * Each read from a socket is a buffer outside the heap of which V8 sees only the small object that holds it. With the
 * defaults tens of thousands of them pile up before it looks, and then it marks a heap in which nothing has changed.
 */
export function suitCollector(
  { versions }: { readonly versions: { readonly node: string } },
  setFlag: (flag: string) => void = setFlagsFromString,
): void {
  for (const flag of flagsByLine[versions.node.split('.')[0] ?? ''] ?? []) setFlag(flag)
}
