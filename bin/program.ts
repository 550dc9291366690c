import { Command } from 'commander'
import { addConfigCommands } from './commands/config.ts'
import { addDemoCommand } from './commands/demo.ts'
import { addDoctorCommand } from './commands/doctor.ts'
import { addKeyCommands } from './commands/keys.ts'
import { addRunCommands } from './commands/run.ts'
import type { Terminal } from './terminal.ts'
import { version } from './version.ts'

/**
 * The command line as a whole; `parseAsync` runs what the arguments ask for and rejects with what went wrong.
 *
 * A command loads what it works with when it is asked for, so that no start pays for the others.
 */
export function createProgram(terminal: Terminal): Command {
  const program = new Command('token-handler')
    .description('Keeps OAuth tokens out of the browser: OAuth agent, OAuth proxy and the tools to run them.')
    .version(version)
    .option('-c, --config <file>', 'settings file; TOKEN_HANDLER_CONFIG if absent')
    // `--config` belongs to the program, so without this no help of a command would name it.
    .configureHelp({ showGlobalOptions: true })
    .showHelpAfterError('Run with --help to see what is possible.')
  addDemoCommand(program, terminal)
  addRunCommands(program, terminal)
  addKeyCommands(program, terminal)
  addConfigCommands(program, terminal)
  addDoctorCommand(program, terminal)
  return program
}
