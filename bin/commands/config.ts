import type { Command } from 'commander'
import { exampleText } from '../../shared/config/example.ts'
import { jsonSchema } from '../../shared/config/json-schema.ts'
import { loadConfig } from '../../shared/config/load.ts'
import { ConfigError, problemText } from '../../shared/config/problem.ts'
import { exitConfig } from '../failure.ts'
import { partChecks } from '../part-checks.ts'
import { settingsText } from '../settings-text.ts'
import type { Terminal } from '../terminal.ts'
import { addConfigNginxCommand } from './config-nginx.ts'

/** `config check | print | schema | example`. */
export function addConfigCommands(program: Command, terminal: Terminal): void {
  const config = program.command('config').description('Check and show settings.')
  const file = (): string | undefined => program.opts<{ config?: string }>().config

  config
    .command('check')
    .description('Name everything that is wrong with the settings.')
    .option('--json', 'for machines')
    .action(({ json = false }: { json?: boolean }) => {
      const problems = problemsOf(file())
      if (problems.length > 0) terminal.exitWith(exitConfig)
      if (json) terminal.out(JSON.stringify({ ok: problems.length === 0, problems }, null, 2))
      else if (problems.length === 0) terminal.out('The settings are good.')
      else terminal.out(problems.map(problemText).join('\n'))
    })

  config
    .command('print')
    .description('Show the settings in force, defaults included, secrets masked.')
    .option('--json', 'for machines')
    .action(({ json = false }: { json?: boolean }) => {
      const settings = loadConfig(file(), partChecks)
      terminal.out(json ? JSON.stringify(settings, null, 2) : settingsText(settings))
    })

  config
    .command('schema')
    .description('Print the JSON Schema of the settings file, for editors.')
    .action(() => terminal.out(JSON.stringify(jsonSchema(), null, 2)))

  config
    .command('example')
    .description('Print a settings file to start from.')
    .action(() => {
      terminal.out(exampleText().trimEnd())
    })

  addConfigNginxCommand(config, file)
}

function problemsOf(file: string | undefined) {
  try {
    loadConfig(file, partChecks)
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
}
