import { readFileSync } from 'node:fs'
import { ConfigError, type Problem, problemText } from '../shared/config/problem.ts'
import { KeyRingEditError } from '../shared/crypto/key-ring-edit.ts'
import { failureCode } from '../shared/failure-code.ts'

/** EX_CONFIG of sysexits.h: the settings or keys cannot be used, and starting again will not help. */
export const exitConfig = 78
/** Something outside went wrong; starting again may help. */
export const exitFailure = 1

/** A failure at the command line, worded for a person. */
export class CommandError extends Error {
  override readonly name = 'CommandError'
  readonly exitCode: number

  constructor(message: string, exitCode: number = exitFailure) {
    super(message)
    this.exitCode = exitCode
  }
}

/** A file or folder that a command could not write; any other failure as it is. */
export function writeFailure(path: string, cause: unknown): unknown {
  return fileFailure(
    cause,
    (code) => `${path} cannot be written (${code}). Check the path and that this user may write there.`,
  )
}

/** The text of a file that the command line names; throws CommandError where it cannot be read. */
export function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    throw fileFailure(
      cause,
      (code) => `${path} cannot be read (${code}). Check the path and that this user may read the file.`,
    )
  }
}

function fileFailure(cause: unknown, words: (code: string) => string): unknown {
  if (!(cause instanceof Error) || !('syscall' in cause)) return cause
  return new CommandError(words(failureCode(cause) ?? 'unknown'))
}

/** The exit code that tells a supervisor whether starting again can help. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof CommandError) return error.exitCode
  return error instanceof ConfigError ? exitConfig : exitFailure
}

/** What went wrong, for a program that asked for JSON, in the shape of `config check --json`. */
export function failureJson(error: unknown): string {
  const told = (): Problem => ({ path: '', problem: failureText(error), remedy: '' })
  return JSON.stringify({ ok: false, problems: error instanceof ConfigError ? error.problems : [told()] }, null, 2)
}

/** What went wrong, for a person. */
export function failureText(error: unknown): string {
  if (error instanceof ConfigError) {
    const count = error.problems.length
    const title = count === 1 ? 'There is a problem:' : `There are ${count} problems:`
    return [title, ...error.problems.map((problem) => `  ${problemText(problem)}`)].join('\n')
  }
  if (error instanceof CommandError || error instanceof KeyRingEditError) return error.message
  return error instanceof Error ? (error.stack ?? error.message) : 'unknown failure'
}
