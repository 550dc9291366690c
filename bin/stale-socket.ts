import { lstatSync, unlinkSync } from 'node:fs'
import { connect } from 'node:net'
import type { Config } from '../shared/config/schema.ts'
import { failureCode } from '../shared/failure-code.ts'
import { CommandError } from './failure.ts'
import { type Mode, listeningPart } from './parts.ts'

/**
 * Takes away the socket that a killed process left, since nobody could listen there again.
 *
 * Throws CommandError when somebody answers at it, or when its path belongs to something else, which is left as it is.
 */
export async function clearStaleSocket(config: Config, mode: Mode): Promise<void> {
  const part = listeningPart(mode)
  const { socket } = config[part].listen
  if (socket === undefined) return
  const found = lstatSync(socket, { throwIfNoEntry: false })
  if (found === undefined) return
  const problem = found.isSocket() ? await problemOf(socket) : 'is no socket'
  if (problem !== undefined) throw new CommandError(`${socket} ${problem}. Free it, or change ${part}.listen.socket.`)
  unlinkSync(socket)
}

/** Why the socket cannot be taken away; undefined when nobody listens, which only the attempt to connect tells. */
function problemOf(socket: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const connection = connect(socket)
    connection.once('connect', () => {
      connection.destroy()
      resolve('is in use by another process')
    })
    connection.once('error', (error) => {
      const code = failureCode(error) ?? 'unknown'
      resolve(code === 'ECONNREFUSED' ? undefined : `cannot be connected to (${code})`)
    })
  })
}
