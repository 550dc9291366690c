import type { Socket } from 'node:net'

/** As much as Node reads at a time. */
const memory = Buffer.alloc(65_536)

/**
 * How sockets to APIs read (`onread` of node:net): all into one piece of memory, from which each takes its copy before
 * anything else is read.
 *
 * By default Node takes 64 KB from the system for each read and gives back what was not filled. With answers of a usual
 * length that is some 4 % of the CPU of a call, and with long ones no cheaper than copying. Whatever is passed on without
 * being copied would be overwritten with the answer of another user.
 */
export const readByCopy = {
  buffer: memory,
  /** Called as a method of the socket; false holds the API back, as when Node itself reads. */
  callback(this: Socket, bytes: number): boolean {
    return this.push(Buffer.from(memory.subarray(0, bytes)))
  },
}
