import type { Socket } from 'node:net'

/** As much as Node reads at a time. */
const memory = new Uint8Array(65_536)

/**
 * How sockets to APIs read (`onread` of node:net): all into one piece of memory, from which each takes its copy before
 * anything else is read.
 *
 * By default Node takes 64 KB from the system for each read and gives back what was not filled. With answers of a usual
 * length that is some 4 % of the CPU of a call; long ones cost about as much either way. Whatever is passed on without
 * being copied would be overwritten with the answer of another user.
 */
export const readByCopy = {
  buffer: memory,
  /** Called as a method of the socket; false holds the API back, as when Node itself reads. */
  callback(this: Socket, bytes: number): boolean {
    return this.push(copyOf(bytes))
  },
}

/** What is short goes into memory that Node keeps for that; for anything longer, slicing takes half the time. */
function copyOf(bytes: number): Buffer {
  return bytes < Buffer.poolSize / 2
    ? Buffer.from(memory.subarray(0, bytes))
    : Buffer.from(memory.buffer.slice(0, bytes))
}
