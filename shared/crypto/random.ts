import { randomBytes } from 'node:crypto'

/** Gives `size` bytes nobody can predict; throws when the system has none, so that nothing is sealed without them. */
export type RandomBytes = (size: number) => Buffer

/** The random numbers of this machine. */
export const systemRandomBytes: RandomBytes = (size) => randomBytes(size)

/** 128 random bits as 22 base64url characters: session ids and ids of login attempts. */
export function randomId(random: RandomBytes): string {
  return random(16).toString('base64url')
}
