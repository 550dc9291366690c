import { exitCodeOf, failureText } from './failure.ts'
import { runProgram } from './program.ts'
import { checkRuntime } from './runtime.ts'
import { processTerminal } from './terminal.ts'

/** Runs what the arguments of this process ask for; what goes wrong is told on stderr and sets the exit code. */
export async function runCommandLine(): Promise<void> {
  // The reader of a pipe may have had enough (`config schema | head`).
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
  })
  // Whoever read it may be gone (a log collector that is restarted); a process that only reports must not end for that.
  process.stderr.on('error', () => undefined)
  try {
    checkRuntime(process)
    await runProgram(process.argv.slice(2), processTerminal)
  } catch (error) {
    processTerminal.err(failureText(error))
    processTerminal.exitWith(exitCodeOf(error))
  }
}
