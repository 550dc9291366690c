import { spawnSync } from 'node:child_process'

/** Throws an error that says how to install a command that is missing. */
export function demand(command: string, parameters: readonly string[], remedy: string): void {
  if (spawnSync(command, parameters).error !== undefined) throw new Error(`This test needs ${command}: ${remedy}`)
}

/** Runs a command to its end; throws an error with what it had to say if it fails. */
export function run(command: string, parameters: readonly string[]): void {
  const { status, stdout, stderr } = spawnSync(command, parameters, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${command} ended with ${status}: ${stderr}${stdout}`)
}
