/** A promise that somebody else resolves. */
export interface Resolvable {
  readonly promise: Promise<void>
  readonly resolve: () => void
}

/** What tests wait for, or have others wait for, until they say so. */
export function resolvable(): Resolvable {
  let resolve = (): void => {}
  const promise = new Promise<void>((done) => void (resolve = done))
  return { promise, resolve }
}
