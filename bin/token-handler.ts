#!/usr/bin/env node
import { exitCodeOf, failureText } from './failure.ts'
import { createProgram } from './program.ts'
import { checkRuntime } from './runtime.ts'
import { processTerminal } from './terminal.ts'

// The reader of a pipe may have had enough (`config schema | head`).
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
})

try {
  checkRuntime(process)
  await createProgram(processTerminal).parseAsync()
} catch (error) {
  processTerminal.err(failureText(error))
  processTerminal.exitWith(exitCodeOf(error))
}
