#!/usr/bin/env node
import { Command } from 'commander'
import { addConfigCommands } from './commands/config.ts'
import { addDemoCommand } from './commands/demo.ts'
import { addKeyCommands } from './commands/keys.ts'
import { addRunCommands } from './commands/run.ts'
import { fail } from './failure.ts'
import { checkRuntime } from './runtime.ts'
import { version } from './version.ts'

const program = new Command('token-handler')
  .description('Keeps OAuth tokens out of the browser: OAuth agent, OAuth proxy and the tools to run them.')
  .version(version)
  .option('-c, --config <file>', 'settings file; TOKEN_HANDLER_CONFIG if absent')
  .showHelpAfterError('Run with --help to see what there is.')

addDemoCommand(program)
addRunCommands(program)
addKeyCommands(program)
addConfigCommands(program)

try {
  checkRuntime(process)
  await program.parseAsync()
} catch (error) {
  fail(error)
}
