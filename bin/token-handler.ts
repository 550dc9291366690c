#!/usr/bin/env node
import { exitCodeOf, failureText } from './failure.ts'
import { createProgram } from './program.ts'
import { checkRuntime } from './runtime.ts'
import { processTerminal } from './terminal.ts'

try {
  checkRuntime(process)
  await createProgram(processTerminal).parseAsync()
} catch (error) {
  processTerminal.err(failureText(error))
  processTerminal.exitWith(exitCodeOf(error))
}
