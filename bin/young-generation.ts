import { setFlagsFromString } from 'node:v8'

/**
 * Keeps V8's young generation small, so that the buffers of a body are given back soon after they are sent.
 *
 * Each read from a socket is a buffer outside the heap of which V8 sees only the small object that holds it: with the
 * default size tens of thousands of them pile up before it looks. Of the releases that are supported, Node 24 alone knows
 * the flag; V8 prints a complaint about a flag that it does not know.
 */
export function keepYoungGenerationSmall(
  { versions }: { readonly versions: { readonly node: string } },
  setFlag: (flag: string) => void = setFlagsFromString,
): void {
  if (versions.node.startsWith('24.')) setFlag('--scavenger-max-new-space-capacity-mb=4')
}
