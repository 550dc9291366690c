import type { Command } from 'commander'
import { createProgram } from '../program.ts'

/** The reference page of the command line. */
export function commandsPage(): string {
  const nobody = { out: () => undefined, err: () => undefined, exitWith: () => undefined }
  const program = createProgram(nobody)
  const sections = leaves(program, 'token-handler').map(([name, command]) => commandText(name, command))
  return [intro, ...sections].join('\n\n')
}

const intro = `# Commands

\`token-handler [--config <file>] <command>\`; without \`--config\` the variable \`TOKEN_HANDLER_CONFIG\` names the settings
file. Results go to standard output, remarks to standard error. What keeps a command with \`--json\` from its result is JSON
as well, on standard error: \`{ "ok": false, "problems": [{ "path": …, "problem": …, "remedy": … }] }\`, as \`config check
--json\` prints; only a command line that is not understood is answered in words.

| Exit code | Means |
| --- | --- |
| 0 | done, or ended as asked |
| 1 | something outside went wrong, such as a port in use or errors found by \`doctor\`; starting again may help. Also used for a command line that cannot be read |
| 78 | settings, keys or the Node release cannot be used; starting again will not help |`

function leaves(command: Command, name: string): [string, Command][] {
  if (command.commands.length === 0) return [[name, command]]
  return command.commands.flatMap((child) => leaves(child, `${name} ${child.name()}`))
}

function commandText(name: string, command: Command): string {
  const words = command.registeredArguments.map((word) => (word.required ? `<${word.name()}>` : `[${word.name()}]`))
  const title = [name.replace(/^token-handler /, ''), ...words].join(' ')
  const lines = [
    ...command.registeredArguments.map((word) => `- \`${word.name()}\`: ${word.description}`),
    ...command.options.map(({ flags, description, defaultValue }) => {
      const standard: unknown = defaultValue
      return `- \`${flags}\`: ${description}${typeof standard === 'number' ? ` (${standard} if absent)` : ''}`
    }),
  ]
  return [`## ${title}`, command.description(), lines.join('\n')].filter((part) => part !== '').join('\n\n')
}
