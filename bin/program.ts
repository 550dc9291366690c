import { Command } from 'commander'
import { addConfigCommands } from './commands/config.ts'
import { addDemoCommand } from './commands/demo.ts'
import { addDoctorCommand } from './commands/doctor.ts'
import { addKeyCommands } from './commands/keys.ts'
import { addRunCommands } from './commands/run.ts'
import { exitCodeOf, failureJson, failureText } from './failure.ts'
import type { Terminal } from './terminal.ts'
import { version } from './version.ts'

/**
 * Runs what `args` ask for; what goes wrong is told as a remark and sets the exit code.
 *
 * To whoever asked for JSON it is told in JSON, since a program that reads the answer can read no sentence in its place.
 */
export async function runProgram(args: readonly string[], terminal: Terminal): Promise<void> {
  const program = createProgram(terminal)
  let asJson = false
  program.hook('preAction', (_, command) => {
    asJson = command.opts<{ json?: boolean }>().json === true
  })
  try {
    await program.parseAsync(args, { from: 'user' })
  } catch (error) {
    terminal.err(asJson ? failureJson(error) : failureText(error))
    terminal.exitWith(exitCodeOf(error))
  }
}

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
  addHelpCommand(program)
  return program
}

/** The library's own looks at the first word only: it would show the help of `keys` for `help keys rotate`. */
function addHelpCommand(program: Command): void {
  program
    .helpCommand(false)
    .command('help')
    .description('Show the help of a command.')
    .argument('[command...]', 'its words; without one, everything that is possible')
    .action(async (words: readonly string[]) => {
      await program.parseAsync([...words, '--help'], { from: 'user' })
    })
}
