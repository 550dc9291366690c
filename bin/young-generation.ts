import { setFlagsFromString } from 'node:v8'

/**
 * Keeps V8's young generation small, so that the buffers of a body are given back soon after they are sent.
 *
 * Each read from a socket is a buffer outside the heap of which V8 sees only the small object that holds it: with the
 * default size tens of thousands of them pile up before it looks. Releases before Node 24 do not know the flag.
 */
export function keepYoungGenerationSmall({ versions }: { readonly versions: { readonly node: string } }): void {
  const [major] = versions.node.split('.').map(Number)
  if (major !== undefined && major >= 24) setFlagsFromString('--scavenger-max-new-space-capacity-mb=4')
}
