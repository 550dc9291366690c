/** Follows the frames of one direction of a WebSocket without looking into them (RFC 6455 §5.2). */
export interface FrameBoundary {
  /** Takes the next bytes; returns how many of them complete the frame that was begun, or undefined if it goes on. */
  feed(chunk: Buffer): number | undefined
  /** True between two frames, where a frame of ours may stand. */
  readonly atBoundary: boolean
}

/** Creates a follower at the start of a stream of frames. */
export function createFrameBoundary(): FrameBoundary {
  let header: number[] = []
  let payloadLeft = 0
  return {
    feed(chunk) {
      let first: number | undefined
      let at = 0
      while (at < chunk.length) {
        if (payloadLeft > 0) {
          const taken = Math.min(payloadLeft, chunk.length - at)
          payloadLeft -= taken
          at += taken
          if (payloadLeft === 0) first ??= at
          continue
        }
        header.push(chunk[at++] ?? 0)
        const length = payloadLength(header)
        if (length === undefined) continue
        header = []
        payloadLeft = length
        if (length === 0) first ??= at
      }
      return first
    },
    get atBoundary() {
      return header.length === 0 && payloadLeft === 0
    },
  }
}

/** Length of what follows a complete frame header; undefined while the header is incomplete. */
function payloadLength(header: readonly number[]): number | undefined {
  const second = header[1]
  if (second === undefined) return undefined
  const masked = (second & 0x80) !== 0
  const short = second & 0x7f
  const extended = short === 126 ? 2 : short === 127 ? 8 : 0
  if (header.length < 2 + extended + (masked ? 4 : 0)) return undefined
  if (extended === 0) return short
  return header.slice(2, 2 + extended).reduce((length, byte) => length * 256 + byte, 0)
}

/** A close frame as a server sends it: unmasked, with a code and a short reason (RFC 6455 §5.5.1). */
export function closeFrame(code: number, reason: string): Buffer {
  const text = Buffer.from(reason, 'utf8')
  return Buffer.concat([Buffer.from([0x88, text.length + 2, code >> 8, code & 0xff]), text])
}
