import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { closeFrame, createFrameBoundary } from '../../../oauth-proxy/forward/frame-boundary.ts'

/** A frame with this many bytes of payload, as a server sends it. */
function frame(length: number, masked = false): Buffer {
  const mask = masked ? 0x80 : 0
  const size =
    length < 126
      ? [mask | length]
      : length < 65_536
        ? [mask | 126, length >> 8, length & 255]
        : [mask | 127, 0, 0, 0, 0, (length >> 24) & 255, (length >> 16) & 255, (length >> 8) & 255, length & 255]
  return Buffer.concat([Buffer.from([0x82, ...size]), Buffer.alloc(masked ? 4 : 0), Buffer.alloc(length, 0x81)])
}

describe('RFC 6455 §5.2 where one frame ends', () => {
  it.each([0, 1, 125, 126, 127, 65_535, 65_536])('a payload of %i bytes', (length) => {
    for (const masked of [false, true]) {
      const bytes = frame(length, masked)
      const boundary = createFrameBoundary()
      expect(boundary.feed(bytes.subarray(0, bytes.length - 1))).toBeUndefined()
      expect(boundary.atBoundary).toBe(false)
      expect(boundary.feed(bytes.subarray(bytes.length - 1))).toBe(1)
      expect(boundary.atBoundary).toBe(true)
    }
  })

  it('however the bytes are cut, the boundaries are the same', () => {
    const lengths = fc.array(fc.constantFrom(0, 1, 5, 125, 126, 300), { minLength: 1, maxLength: 5 })
    fc.assert(
      fc.property(lengths, fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1 }), (sizes, cuts) => {
        const stream = Buffer.concat(sizes.map((size) => frame(size)))
        const ends = new Set<number>()
        let end = 0
        for (const size of sizes) ends.add((end += frame(size).length))
        const boundary = createFrameBoundary()
        for (let at = 0, turn = 0; at < stream.length; turn++) {
          const chunk = stream.subarray(at, at + (cuts[turn % cuts.length] ?? 1))
          const first = boundary.feed(chunk)
          const expected = [...ends].filter((each) => each > at && each <= at + chunk.length).sort((a, b) => a - b)[0]
          expect(first).toBe(expected === undefined ? undefined : expected - at)
          at += chunk.length
          expect(boundary.atBoundary).toBe(ends.has(at))
        }
      }),
    )
  })
})

it('a close frame holds its code and reason', () => {
  expect(closeFrame(4401, 'x')).toEqual(Buffer.from([0x88, 3, 0x11, 0x31, 0x78]))
})
