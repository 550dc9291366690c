/** What `traceparent` says (W3C Trace Context, level 2, §3.2). */
export interface TraceParent {
  /** 32 hexadecimal digits. */
  readonly traceId: string
  /** 16 hexadecimal digits: the span of whoever sent it. */
  readonly spanId: string
}

const form = /^00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}$/

/** Reads `traceparent`; anything that is not exactly well-formed is as good as absent. */
export function parseTraceParent(text: string | undefined): TraceParent | undefined {
  const [, traceId, spanId] = form.exec(text ?? '') ?? []
  return traceId === undefined || spanId === undefined ? undefined : { traceId, spanId }
}

/** A `traceparent` of our own; `sampled` tells whoever reads it that we trace this request. */
export function formatTraceParent({ traceId, spanId }: TraceParent, sampled: boolean): string {
  return `00-${traceId}-${spanId}-0${sampled ? 1 : 0}`
}

/** True for the given share of all trace ids; every process that uses the same share decides alike. */
export function isSampled(traceId: string, ratio: number): boolean {
  return Number.parseInt(traceId.slice(-8), 16) < ratio * 2 ** 32
}

/** The value of a header in a list of names and values in turn; undefined when it is absent or repeated. */
export function soleHeader(rawHeaders: readonly string[], name: string): string | undefined {
  const at = rawHeaders.flatMap((text, index) => (index % 2 === 0 && text.toLowerCase() === name ? [index] : []))
  return at.length === 1 ? rawHeaders[(at[0] ?? 0) + 1] : undefined
}
