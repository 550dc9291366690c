/** Where a command speaks, handed in so that tests can listen. */
export interface Terminal {
  /** What was asked for. */
  readonly out: (text: string) => void
  /** What went wrong, and remarks that are no part of the answer. */
  readonly err: (text: string) => void
  readonly exitWith: (code: number) => void
}

/** The terminal of this process. */
export const processTerminal: Terminal = {
  out: (text) => void process.stdout.write(`${text}\n`),
  err: (text) => void process.stderr.write(`${text}\n`),
  exitWith: (code) => {
    process.exitCode = code
  },
}
